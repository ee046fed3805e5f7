# SPDX-License-Identifier: Apache-2.0
"""Data sets: formats, manifests, labels, splits, soft labels. No torch."""
