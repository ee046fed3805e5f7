# SPDX-License-Identifier: Apache-2.0
"""Power spectra made of products with folded matrices, against the Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auricle.nn.frontends.graph_power import GraphPower

SHAPES = [
    # window, hop, n_fft, periodic
    (640, 320, 640, True),  # the default log-mel
    (800, 320, 1_024, False),  # that of EfficientAT
    (200, 80, 200, True),
    (221, 110, 222, True),  # an odd window: no sample in the middle, blocks of one
    (221, 110, 256, False),  # an odd window with one
    (100, 100, 128, True),
    (64, 96, 64, True),  # a hop longer than the window
    (2, 1, 2, True),
]


@pytest.mark.parametrize("rest", [0, 1, 37])
@pytest.mark.parametrize(("window", "hop", "n_fft", "periodic"), SHAPES)
def test_it_is_the_fourier_transform_of_windowed_frames(window, hop, n_fft, periodic, rest):
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(2, window + 6 * hop + rest % hop, generator=generator)
    bins = n_fft // 2 + 1
    frames = waveform.double().unfold(1, window, hop)
    hann = torch.hann_window(window, periodic=periodic, dtype=torch.float64)
    expected = torch.fft.rfft(frames * hann, n=n_fft).abs().square()
    found = GraphPower(window, hop, n_fft, bins, periodic=periodic)(waveform)
    assert found.shape == (2, 7, bins)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=3e-6 * expected.max())


def test_four_samples_by_hand():
    """A periodic Hann window of 4 is 0, 1/2, 1, 1/2: of (9, 2, 3, 4) remain 1, 3, 2, whose sums are 6, (3, 1), 0."""
    power = GraphPower(4, 4, 4, 3, periodic=True)(torch.tensor([[9.0, 2.0, 3.0, 4.0]]))
    np.testing.assert_allclose(power.numpy(), [[[36, 10, 0]]], atol=1e-5)


def test_only_the_bins_that_are_wanted_are_computed():
    waveform = torch.randn(1, 1_000, generator=torch.Generator().manual_seed(0))
    whole, part = (GraphPower(200, 80, 256, bins, periodic=True)(waveform) for bins in (129, 40))
    torch.testing.assert_close(part, whole[..., :40])
