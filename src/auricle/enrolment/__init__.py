# SPDX-License-Identifier: Apache-2.0
"""A model from a few clips in seconds, without torch: new last layers on the built-in model's vectors."""
