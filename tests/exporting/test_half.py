# SPDX-License-Identifier: Apache-2.0
"""Weights stored as float16 are half the bytes and give nearly the same scores."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from auricle.exporting.half import store_as_half
from auricle.exporting.int8 import quantise
from auricle.exporting.onnx import ScoringGraph, export_onnx
from auricle.nn.frontends.sine_mel import SineMelSpec
from auricle.nn.modules.mobilenet import MobileNet
from auricle.runtime.onnx_safety import check_onnx


@pytest.fixture(scope="module")
def content() -> bytes:
    torch.manual_seed(0)
    network = MobileNet(SineMelSpec(), 5).for_export()
    return export_onnx(ScoringGraph(network, "multi", negatives=False), 32_000)


def test_half_the_bytes_and_nearly_the_same_scores(content):
    half = store_as_half(content)
    assert len(half) < 0.58 * len(content)
    check_onnx(half, "half")
    waveform = 0.1 * np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(c, providers=["CPUExecutionProvider"]).run(None, {"waveform": waveform})
        for c in (content, half)
    )
    for a, b in zip(before[:2], after[:2], strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 5e-3
    assert np.abs(before[0] - after[0]).max() > 0  # they are rounded


def test_the_front_end_keeps_its_ramps(content):
    """Whole numbers and short constants are left alone: positions of bins must not be rounded."""
    import onnx

    kinds = {t.data_type for t in onnx.load_from_string(store_as_half(content)).graph.initializer}
    assert {onnx.TensorProto.INT64, onnx.TensorProto.FLOAT16} <= kinds


def test_weights_stored_as_halves_become_8_bits(content):
    """Else a model that came out of `auricle compress` would stay as large as it is."""
    half = store_as_half(content)
    smaller = quantise(half)
    assert len(smaller) < 0.75 * len(half)
    waveform = 0.1 * np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(c, providers=["CPUExecutionProvider"]).run(["clip"], {"waveform": waveform})[0]
        for c in (half, smaller)
    )
    assert 0 < np.abs(before - after).max() < 0.05
