# SPDX-License-Identifier: Apache-2.0
"""Metrics of sound event detection: what was found, and when."""
