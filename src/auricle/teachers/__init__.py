# SPDX-License-Identifier: Apache-2.0
"""Large models that label audio for small ones to learn from."""
