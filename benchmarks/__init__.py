# SPDX-License-Identifier: Apache-2.0
"""Measurements: how good (``esc10``, ``yard``) and how fast (all others), each with the machine it was made on."""
