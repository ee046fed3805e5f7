# SPDX-License-Identifier: Apache-2.0
"""Data sets: forms, manifests, labels, splits, soft labels. No torch."""
