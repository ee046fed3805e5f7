# SPDX-License-Identifier: Apache-2.0
"""The recipe: every choice of a training run, typed, described, and read strictly."""
