# SPDX-License-Identifier: Apache-2.0
"""Thresholds and smoothing, fitted on dev recordings."""
