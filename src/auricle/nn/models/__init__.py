# SPDX-License-Identifier: Apache-2.0
"""Networks by name, one file each: their options in a recipe, their defaults, and how they are built."""
