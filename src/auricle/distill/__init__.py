# SPDX-License-Identifier: Apache-2.0
"""Distillation: a teacher's labels, stored once, and the losses by which a student learns from them."""
