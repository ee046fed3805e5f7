# SPDX-License-Identifier: Apache-2.0
"""A trained network to an ONNX graph, checked against the original."""
