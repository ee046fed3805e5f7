# SPDX-License-Identifier: Apache-2.0
"""Scans: one model over any number of recordings, with a journal, workers and time limits. No torch."""
