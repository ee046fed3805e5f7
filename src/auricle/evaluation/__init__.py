# SPDX-License-Identifier: Apache-2.0
"""Metrics with intervals, and tuning of thresholds. No torch."""
