# SPDX-License-Identifier: Apache-2.0
"""Training and scoring beyond one process: Ray clusters, and the search over recipes. Torch-free at import."""
