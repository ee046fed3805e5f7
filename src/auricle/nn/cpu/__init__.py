# SPDX-License-Identifier: Apache-2.0
"""Faster training on processors: layers that compute the same as torch's own."""
