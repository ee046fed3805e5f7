# SPDX-License-Identifier: Apache-2.0
"""Metrics and reports of the anti-spoofing field."""
