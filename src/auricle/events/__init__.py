# SPDX-License-Identifier: Apache-2.0
"""Scores over time to events: smoothing, segments, formats. No torch."""
