# SPDX-License-Identifier: Apache-2.0
"""Vectors of windows of an archive, and the windows that are most like an example."""
