# SPDX-License-Identifier: Apache-2.0
"""Label formats: how each is recognised and read into a manifest."""
