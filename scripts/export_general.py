# SPDX-License-Identifier: Apache-2.0
"""Make the graph of the built-in model ``general`` anew with the exporter as it is; its scores stay.

    python scripts/export_general.py
    python scripts/make_bank.py SHARED      the bank of `auricle enrol` names the graph that it was made with

The weights are those in the graph that is there, whose norms are merged and whose numbers are float16: made from
``model.safetensors``, which is rounded before that, scores would move by a thousandth. Nothing is written if a score
moves by more than ``TOLERANCE``.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from safetensors.torch import load as load_tensors
from torch import nn

from auricle.exporting.graphs import take_apart
from auricle.exporting.half import store_as_half
from auricle.nn.modules.mobilenet import MobileNet
from auricle.nn.networks import build_network
from auricle.recipe.schema import make_recipe
from auricle.runtime.bundle import ONNX_FILES, Bundle, add_files, load_bundle
from auricle.runtime.onnx_session import open_session
from auricle.training.bundling import export_checked

TARGET = Path(__file__).parents[1] / "src/auricle/bundles/general"
GRAPH, WEIGHTS = ONNX_FILES["float32"], "model.safetensors"
TOLERANCE = 1e-4
#: Weights of the graph differ from those that they were made of by their rounding: two times half a unit of float16.
ROUNDING = 2e-3

Array = npt.NDArray[np.float32]


def merged_network(bundle: Bundle) -> MobileNet:
    """Return the network with the weights of the bundle's graph, and norms that do nothing but add."""
    network = build_network(make_recipe(bundle.spec.provenance.recipe), len(bundle.spec.labels)).eval()
    if not isinstance(network, MobileNet):
        sys.exit(f"{bundle.path} holds no mobilenet")
    network.load_state_dict({name: value.float() for name, value in load_tensors(bundle.read(WEIGHTS)).items()})
    constants = take_apart(onnx.load_from_string(bundle.read(GRAPH)), restore=True).constants
    found = [value for value in constants.values() if value.dtype == np.float32]
    with torch.no_grad():
        for conv, norm in normed(network):
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            shift = norm.bias - norm.running_mean * factor
            conv.weight.copy_(graph_value(conv.weight * factor.reshape(-1, *[1] * (conv.weight.ndim - 1)), found))
            norm.bias.copy_(graph_value(shift, found))
            norm.weight.fill_(1)
            norm.running_mean.fill_(0)
            norm.running_var.fill_(1 - norm.eps)
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(graph_value(layer.weight, found))
                layer.bias.copy_(graph_value(layer.bias, found))
    return network


def normed(network: nn.Module) -> Iterator[tuple[nn.Conv1d | nn.Conv2d, nn.BatchNorm2d]]:
    """Yield each convolution with the norm behind it."""
    for part in network.modules():
        layers = list(part.children()) if isinstance(part, nn.Sequential) else []
        for conv, norm in itertools.pairwise(layers):
            if isinstance(conv, nn.Conv1d | nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield conv, norm


def graph_value(wanted: torch.Tensor, found: list[Array]) -> torch.Tensor:
    """Return the constant of the graph that is ``wanted`` but for rounding, without the zeros that fill its blocks."""
    size = tuple(wanted.shape)
    best, least = wanted, float("inf")
    for value in found:
        flat = value if value.ndim == len(size) else value.reshape(tuple(n for n in value.shape if n > 1))
        shape = tuple(n for n in size if n > 1) if flat.ndim < len(size) else size
        if flat.ndim != len(shape) or any(have < need for have, need in zip(flat.shape, shape, strict=True)):
            continue
        part = torch.from_numpy(flat[tuple(slice(n) for n in shape)].copy()).reshape(size)
        if abs(float(np.abs(flat).sum()) - float(part.abs().sum())) > 1e-3 * float(part.abs().sum()):
            continue
        away = float((part - wanted).abs().max())
        if away < least:
            best, least = part, away
    if least > ROUNDING * float(wanted.abs().max()):
        sys.exit(f"no constant of the graph is the weight of shape {size}: the nearest differs by {least:.2g}")
    return best


def largest_difference(before: bytes, after: bytes, samples: int) -> float:
    """Return by how much scores differ, of noise, tones and silence at three lengths."""
    sessions = [open_session(content, 1, GRAPH) for content in (before, after)]
    rng, worst = np.random.default_rng(0), 0.0
    for length in (samples, samples // 3 + 1, 2 * samples):
        tone = np.sin(np.arange(length) * 0.2) * np.linspace(0, 1, length)
        for sound in (0.1 * rng.standard_normal(length), tone, np.zeros(length)):
            scores = [s.run(["clip", "frames"], {"waveform": sound.astype(np.float32)[None]}) for s in sessions]
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(*scores, strict=True)))
    return worst


def main() -> None:
    """Write the graph into the package."""
    bundle = load_bundle(TARGET)
    before = bundle.read(GRAPH)
    after = store_as_half(export_checked(merged_network(bundle), bundle.spec))
    worst = largest_difference(before, after, bundle.spec.window_samples)
    if worst > TOLERANCE:
        sys.exit(f"scores would move by {worst:.2g}, more than {TOLERANCE:g}: nothing was written")
    add_files(TARGET, {GRAPH: after})
    sys.stdout.write(f"wrote {TARGET / GRAPH}: {len(after):,} bytes, scores moved by {worst:.2g} at most\n")


if __name__ == "__main__":
    main()
