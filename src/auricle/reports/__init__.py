# SPDX-License-Identifier: Apache-2.0
"""Pages for people. No torch."""
