# SPDX-License-Identifier: Apache-2.0
"""Power spectra by a factorised Fourier transform, against the Fourier transform."""

from __future__ import annotations

import io
import math
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.signal import lfilter

from auricle.nn.frontends.graph_power import GraphPower, bins_of_rows, factors
from auricle.nn.frontends.kaldi_mel import GraphKaldiMel, KaldiMel, KaldiMelSpec
from auricle.nn.frontends.logmel import GraphLogMel, LogMel, LogMelSpec
from auricle.nn.frontends.sine_mel import GraphSineMel, SineMel, SineMelSpec

SHAPES = [
    # window, hop, n_fft, name of the window
    (640, 320, 640, "hann"),  # the default log-mel
    (800, 320, 1_024, "symmetric_hann"),  # that of EfficientAT
    (320, 320, 320, "sine"),  # that of MobileNet
    (200, 80, 200, "hann"),
    (221, 110, 222, "hann"),  # no common factor: the transform of one column
    (221, 110, 256, "symmetric_hann"),
    (100, 100, 128, "hann"),
    (90, 40, 100, "hann"),  # the last row of samples is not full
    (64, 96, 64, "hann"),  # a hop longer than the window
    (45, 20, 45, "sine"),  # an odd number of rows
    (2, 1, 2, "hann"),
]


def window_of(name: str, samples: int) -> torch.Tensor:
    if name == "sine":
        return torch.sin(math.pi * (torch.arange(samples, dtype=torch.float64) + 0.5) / samples)
    return torch.hann_window(samples, periodic=name == "hann", dtype=torch.float64)


@pytest.mark.parametrize("rest", [0, 1, 37])
@pytest.mark.parametrize(("window", "hop", "n_fft", "name"), SHAPES)
def test_it_is_the_fourier_transform_of_windowed_frames(window, hop, n_fft, name, rest):
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(2, window + 6 * hop + rest % hop, generator=generator)
    frames = waveform.double().unfold(1, window, hop)
    expected = torch.fft.rfft(frames * window_of(name, window), n=n_fft).abs().square()
    graph = GraphPower(window, hop, n_fft, window=name)
    found = graph(waveform).reshape(-1, 2, 7)
    rows = np.flatnonzero(graph.frequencies >= 0)
    assert sorted(graph.frequencies[rows].tolist()) == list(range(n_fft // 2 + 1))
    wanted = expected[:, :, graph.frequencies[rows]].permute(2, 0, 1)
    np.testing.assert_allclose(found[rows].numpy(), wanted.numpy(), atol=3e-6 * float(expected.max()))


def test_four_samples_by_hand():
    """A periodic Hann window of 4 is 0, 1/2, 1, 1/2: of (9, 2, 3, 4) remain 1, 3, 2, whose sums are 6, (3, 1), 0."""
    graph = GraphPower(4, 4, 4, window="hann")
    found = graph(torch.tensor([[9.0, 2.0, 3.0, 4.0]]))[:, 0].tolist()
    by_bin = {int(b): v for b, v in zip(graph.frequencies, found, strict=True) if b >= 0}
    assert by_bin == pytest.approx({0: 36, 1: 10, 2: 0}, abs=1e-5)


@pytest.mark.parametrize(("n_fft", "window"), [(320, 320), (400, 400), (640, 640), (1_024, 800), (442, 441)])
def test_factors_make_it_cheaper_and_every_bin_has_one_row(n_fft, window):
    rows, columns = factors(n_fft, window)
    assert rows * columns == n_fft
    low = rows // 2 + 1
    assert 2 * low * window + low * (2 * columns) ** 2 < 0.6 * window * (n_fft + 2)
    bins = bins_of_rows(n_fft, rows, columns)
    assert sorted(bins[bins >= 0]) == list(range(n_fft // 2 + 1))


FORMS = {
    "log-mel": (LogMel(LogMelSpec()), GraphLogMel(LogMelSpec())),
    "log-mel of recipes": (
        LogMel(LogMelSpec(window_ms=40, hop_ms=20)),
        GraphLogMel(LogMelSpec(window_ms=40, hop_ms=20)),
    ),
    "kaldi": (KaldiMel(KaldiMelSpec()), GraphKaldiMel(KaldiMelSpec())),
    "sine": (SineMel(SineMelSpec()), GraphSineMel(SineMelSpec())),
}


@pytest.mark.parametrize("name", FORMS)
def test_exported_forms_are_the_training_forms_to_1e_5(name):
    """In ONNX Runtime, for one recording and several, at lengths that the example of the export does not have."""
    training, graph = FORMS[name]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (torch.zeros(2, 9_600),),
            buffer,
            input_names=["waveform"],
            output_names=["features"],
            dynamic_axes={"waveform": {0: "batch", 1: "sample"}, "features": {0: "batch", 2: "frame"}},
            opset_version=17,
            do_constant_folding=False,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    for batch, samples in ((1, 8_000), (3, 12_345), (2, 32_000)):
        # Noise that falls with frequency, as most sounds do. A band that happens to hold next to nothing shows the
        # rounding of both forms: of the training form's distance from float64, 2e-5 is such.
        noise = 0.1 * torch.randn(batch, samples, generator=generator)
        waveform = torch.from_numpy(lfilter([1], [1, -0.97], noise.numpy()).astype(np.float32))
        found = session.run(None, {"waveform": waveform.numpy()})[0]
        away = np.abs(found - training(waveform).numpy())
        assert np.quantile(away, 0.999) < 1e-5
        assert away.max() < 1e-4
