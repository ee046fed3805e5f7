# SPDX-License-Identifier: Apache-2.0
"""From clips to batches: decode, crop, augment, collate."""
