# SPDX-License-Identifier: Apache-2.0
"""Synthetic sound: scenes, mixtures, reverberation, and a toy data set. No torch."""
