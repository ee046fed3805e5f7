# SPDX-License-Identifier: Apache-2.0
"""What tests of several folders share: toy data, tiny models and teachers, servers, and fixtures of both halves."""
