# SPDX-License-Identifier: Apache-2.0
"""Files to samples: decode, check, resample, whole or by blocks. No torch."""
