# SPDX-License-Identifier: Apache-2.0
"""The first layers of the raw-waveform network: lengths, filters that do what they say, levels."""

from __future__ import annotations

import math

import pytest
import torch

from auricle.nn.frontends.raw import KERNELS, POWER_FLOOR, FirstLayer
from auricle.timeline import frame_grid

RATE = 16_000


def make(kind: str = "conv", **changes: object) -> FirstLayer:
    torch.manual_seed(0)
    settings = {"channels": 16, "kernel": 64, "stride": 16, "rectify": "none", "pool": 1, "level": False, **changes}
    return FirstLayer(kind, settings.pop("channels"), settings.pop("kernel"), settings.pop("stride"), **settings)


def sine(hz: float, samples: int = 8_000, level: float = 1.0) -> torch.Tensor:
    return level * torch.sin(2 * math.pi * hz * torch.arange(samples) / RATE)[None]


@pytest.mark.parametrize("kind", list(KERNELS))
@pytest.mark.parametrize(("kernel", "stride", "pool"), [(3, 1, 1), (64, 16, 1), (65, 16, 3), (16, 16, 4)])
@pytest.mark.parametrize("rectify", ["abs", "log"])
def test_samples_give_a_frame_for_each_stride(kind, kernel, stride, pool, rectify):
    layer = make(kind, kernel=kernel, stride=stride, pool=pool, rectify=rectify)
    assert frame_grid(layer.time_layers).hop_samples == stride * pool
    for samples in (1_000, 1_001, 1_023):
        assert layer(torch.randn(2, samples)).shape == (2, 16, samples // stride // pool)


def test_the_matrix_product_is_the_convolution():
    layer, waveform = make(kernel=65), torch.randn(3, 1_000)
    padded = torch.nn.functional.pad(waveform, layer.padding)
    expected = torch.nn.functional.conv1d(padded[:, None], layer.kernels()[:, None], stride=16)
    torch.testing.assert_close(layer(waveform), expected, atol=1e-5, rtol=1e-5)


def test_a_pair_of_kernels_hears_the_power_of_its_own_frequency_whatever_the_phase():
    layer = make("fourier", channels=32, kernel=256, stride=37, rectify="log")
    centres = (torch.arange(32) + 0.5) / 64 * RATE
    for number in (4, 15, 28):
        power = layer(sine(float(centres[number]))).detach().exp()[0, :, 10:-10]
        assert power[number].mean() == pytest.approx(1, abs=0.01)
        assert power[number].std() < 0.01
        assert int(power.mean(1).argmax()) == number
        assert power.mean(1)[[n for n in range(32) if abs(n - number) > 2]].max() < 1e-3


def test_sinc_filters_pass_their_band_and_stop_the_rest():
    layer = make("sinc", channels=8, kernel=1_025, stride=8, rectify="abs")
    low = layer.kernels.low.detach().abs()
    high = low + 50 / RATE + layer.kernels.band.detach().abs()
    for number in (1, 4, 7):
        inside = float((low[number] + high[number].clamp(max=0.5)) / 2) * RATE
        gain = layer(sine(inside)).detach()[0, :, 100:-100].amax(1)
        assert gain[number] == pytest.approx(1, abs=0.1)
        assert all(gain[n] < 0.05 for n in range(8) if abs(n - number) > 1)


def test_a_sinc_kernel_of_odd_length_is_finite_in_its_middle():
    assert torch.isfinite(make("sinc", kernel=65).kernels()).all()


@pytest.mark.parametrize("kind", list(KERNELS))
def test_levelled_windows_do_not_depend_on_the_gain(kind):
    layer = make(kind, rectify="log", level=True)
    waveform = 0.1 * torch.randn(2, 4_000)
    torch.testing.assert_close(layer(waveform), layer(waveform * 0.03), atol=1e-2, rtol=0)


def test_a_steady_channel_does_not_change_centred_powers():
    layer, waveform = make("fourier", rectify="log", centre=True), torch.randn(2, 16_000)
    coloured = waveform.clone()
    coloured[:, 1:] += 0.9 * waveform[:, :-1]  # the same gentle filter at all times
    out, other = layer(waveform), layer(coloured)
    torch.testing.assert_close(out.mean(2), torch.zeros(2, 16), atol=1e-4, rtol=0)
    assert (out - other)[:, :14].abs().mean() < 0.15  # the last filters pass next to nothing of it
    plain = make("fourier", rectify="log")
    assert (plain(waveform) - plain(coloured)).abs().mean() > 0.5


def test_silence_stays_silence():
    out = make("fourier", rectify="log", level=True)(torch.zeros(1, 4_000))
    torch.testing.assert_close(out, torch.full_like(out, math.log(POWER_FLOOR)))


def test_it_computes_in_float32_also_where_the_rest_is_bf16():
    layer, waveform = make("fourier", rectify="log"), torch.randn(1, 2_000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(waveform), layer(waveform).float())
        found = layer(waveform)
    assert torch.equal(found, layer(waveform))
