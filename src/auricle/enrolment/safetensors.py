# SPDX-License-Identifier: Apache-2.0
"""Weights for further training: the built-in model's ``model.safetensors`` with other last layers, without torch.

The format is a length, a JSON header of names, types, shapes and places, and the numbers
(https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

import numpy as np

from auricle.enrolment.linear import Linear
from auricle.errors import BundleError
from auricle.results import FloatArray

WEIGHTS_FILE = "model.safetensors"
#: Names of the last layers in the network ``mobilenet``.
CLIP_LAYER, FRAME_LAYER = "head.3", "frame_head"


def with_layers(content: bytes, layers: Mapping[str, Linear]) -> bytes:
    """Return the file with the weights of some linear layers replaced, as float32.

    Args:
        content: of a ``.safetensors`` file.
        layers: by name; ``NAME.weight`` and ``NAME.bias`` must be there.
    """
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    data = content[8 + length :]
    new: dict[str, FloatArray] = {}
    for name, layer in layers.items():
        new[f"{name}.weight"] = np.ascontiguousarray(layer.weight, "<f4")
        new[f"{name}.bias"] = np.ascontiguousarray(layer.bias, "<f4")
    missing = sorted(set(new) - set(header))
    if missing:
        raise BundleError(f"the built-in model's {WEIGHTS_FILE} has no {missing[0]}; install auricle again")
    parts, at, facts = [], 0, {}
    for name, entry in header.items():
        if name == "__metadata__":
            facts[name] = entry
            continue
        begin, end = entry["data_offsets"]
        part, kind, shape = data[begin:end], entry["dtype"], entry["shape"]
        if name in new:
            part, kind, shape = new[name].tobytes(), "F32", list(new[name].shape)
        facts[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(facts, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
