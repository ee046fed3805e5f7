# SPDX-License-Identifier: Apache-2.0
"""Front ends, networks, heads and losses, as torch modules."""
