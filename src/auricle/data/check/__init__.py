# SPDX-License-Identifier: Apache-2.0
"""``auricle data check``: what a data set holds, and what is wrong with it."""
