# SPDX-License-Identifier: Apache-2.0
"""Small ears from big ones: turn recordings into small, fast sound detectors and run them anywhere."""

__version__ = "0.1.0"
