# SPDX-License-Identifier: Apache-2.0
"""Headers of recordings, compared with their files before any decoder reads them."""
