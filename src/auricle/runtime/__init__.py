# SPDX-License-Identifier: Apache-2.0
"""Models in use: bundle, detector, stream, calibration. No torch."""
