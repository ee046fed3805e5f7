# SPDX-License-Identifier: Apache-2.0
"""Front ends: from waveforms to features, one specification for training and the exported graph."""
