# SPDX-License-Identifier: Apache-2.0
"""Random changes to training crops: drawn from (seed, epoch, index), then applied."""
