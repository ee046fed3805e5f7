# SPDX-License-Identifier: Apache-2.0
"""Weights stored in half of their bytes: float16 in the file, float32 again when the graph is opened.

ONNX Runtime computes the casts once, when it opens the graph, so scores take no more time. The weights keep eleven
bits: scores move by about a thousandth.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from auricle.exporting.graphs import merge_norms, put_together, take_apart

#: Constants with fewer numbers stay as they are: these are biases and filters, a hundredth of the file.
LEAST_NUMBERS = 1_024


def store_as_half(content: bytes) -> bytes:
    """Return the graph with its weights stored as float16; norms are merged into their convolutions first."""
    model = onnx.load_from_string(content)
    parts = take_apart(model)
    merge_norms(parts)
    used, casts = parts.uses(), []
    for name, value in list(parts.constants.items()):
        if (
            name in used
            and value.dtype == np.float32
            and value.size >= LEAST_NUMBERS
            and np.abs(value).max() < np.finfo(np.float16).max
        ):
            half = f"{name}.half"
            parts.constants[half] = value.astype(np.float16)
            del parts.constants[name]
            casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    parts.nodes = [*casts, *parts.nodes]
    return bytes(put_together(parts, model).SerializeToString())
