# SPDX-License-Identifier: Apache-2.0
"""The log-mel in its two forms, against each other and against what can be worked out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from auricle.audio.melscale import hz_to_mel_slaney
from auricle.nn.frontends.logmel import LOG_FLOOR, GraphLogMel, LogMel, LogMelSpec

SPECS = {
    "default": LogMelSpec(),
    "8 kHz": LogMelSpec(8_000, 16, f_max=3_500.0),
    "odd window": LogMelSpec(11_025, 20, window_ms=25.0, hop_ms=10.0),  # 276 samples every 110
    "hop = window": LogMelSpec(16_000, 40, window_ms=32.0, hop_ms=32.0),
    "48 kHz": LogMelSpec(48_000, 96, window_ms=40.0, hop_ms=12.5),
}


def reference(spec: LogMelSpec, samples: np.ndarray, *, causal: bool = False) -> np.ndarray:
    """Compute the features one frame at a time in float64; the slow and obvious way."""
    window, hop = spec.window_samples, spec.hop_samples
    before = window - hop if causal else (window - hop) // 2
    padded = np.concatenate([np.zeros(before), samples.astype(np.float64), np.zeros(window)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    columns = []
    for i in range(len(samples) // hop):
        power = np.abs(np.fft.rfft(padded[i * hop : i * hop + window] * hann, spec.n_fft)) ** 2
        columns.append(np.log(spec.bank().numpy().astype(np.float64) @ power + LOG_FLOOR))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", SPECS)
def test_both_forms_are_the_reference(name, causal):
    spec = SPECS[name]
    rng = np.random.default_rng(0)
    samples = (0.2 * rng.standard_normal(spec.sample_rate // 4 + 17)).astype(np.float32)
    expected = reference(spec, samples, causal=causal)
    waveform = torch.from_numpy(samples)[None]
    by_fft = LogMel(spec, causal=causal)(waveform)[0].numpy()
    by_graph = GraphLogMel(spec, causal=causal)(waveform)[0].numpy()
    np.testing.assert_allclose(by_fft, expected, atol=1e-4)
    np.testing.assert_allclose(by_graph, by_fft, atol=1e-4)


@pytest.mark.parametrize("form", [LogMel, GraphLogMel])
@pytest.mark.parametrize("samples", [160, 161, 319, 320, 16_000, 16_159])
def test_t_samples_give_t_over_hop_frames(form, samples):
    assert form(LogMelSpec())(torch.zeros(2, samples)).shape == (2, 64, samples // 160)


@pytest.mark.parametrize("form", [LogMel, GraphLogMel])
def test_silence_is_the_floor(form):
    features = form(LogMelSpec())(torch.zeros(1, 1_600))
    torch.testing.assert_close(features, torch.full((1, 64, 10), math.log(LOG_FLOOR)))


@pytest.mark.parametrize("frequency", [120.0, 440.0, 1_000.0, 3_150.0, 7_000.0])
def test_a_tone_is_loudest_in_its_own_band(frequency, tone):
    spec = LogMelSpec()
    features = LogMel(spec)(torch.from_numpy(tone(0.5, frequency=frequency))[None])[0]
    edges = np.linspace(hz_to_mel_slaney(spec.f_min), hz_to_mel_slaney(8_000), spec.n_mels + 2)
    nearest = int(np.argmin(np.abs(edges[1:-1] - hz_to_mel_slaney(frequency))))
    loudest = features.mean(1).argmax().item()
    assert abs(loudest - nearest) <= 1


def test_ten_times_the_amplitude_adds_the_log_of_a_hundred():
    noise = torch.randn(1, 8_000, generator=torch.Generator().manual_seed(0))
    front = LogMel(LogMelSpec())
    torch.testing.assert_close(
        front(10 * noise) - front(noise), torch.full((1, 64, 50), math.log(100)), atol=1e-3, rtol=0
    )


def test_the_frame_of_an_impulse_is_the_one_whose_span_holds_it():
    """Frame ``i`` is centred on the middle of its span, so an impulse there is loudest in frame ``i``."""
    spec = LogMelSpec()
    for frame in (0, 7, 99):
        waveform = torch.zeros(1, 16_000)
        waveform[0, frame * spec.hop_samples + spec.hop_samples // 2] = 1
        assert LogMel(spec)(waveform)[0].mean(0).argmax() == frame


def test_the_causal_form_hears_nothing_of_the_future():
    spec = LogMelSpec()
    waveform = torch.randn(1, 3_200, generator=torch.Generator().manual_seed(0))
    changed = waveform.clone()
    changed[0, 1_600:] = 0  # frame 9 ends with sample 1599
    for form in (LogMel, GraphLogMel):
        front = form(spec, causal=True)
        assert torch.equal(front(waveform)[..., :10], front(changed)[..., :10])
        assert not torch.equal(front(waveform)[..., 10], front(changed)[..., 10])


def test_features_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert LogMel(LogMelSpec())(torch.randn(1, 1_600)).dtype == torch.float32


def test_lengths_in_samples():
    spec = LogMelSpec(16_000, window_ms=25, hop_ms=10)
    assert (spec.window_samples, spec.hop_samples, spec.n_fft) == (400, 160, 400)
    assert (spec.padding(), spec.padding(causal=True)) == ((120, 120), (240, 0))
    odd = LogMelSpec(16_000, window_ms=25.0625, hop_ms=10)
    assert (odd.window_samples, odd.n_fft, odd.padding()) == (401, 402, (120, 121))
    assert LogMelSpec(f_max=4_000).bank()[:, 101:].abs().max() == 0  # bins of 40 Hz: nothing above 4 kHz


def test_the_fft_form_stores_nothing():
    """Its tables follow from the specification, so weights fit whatever the form of the front end."""
    assert LogMel(LogMelSpec()).state_dict() == {}


def test_a_product_for_a_batch_is_the_convolution():
    """The form for streams, which bring a few frames of many recordings at a time."""
    spec = LogMelSpec(sample_rate=8_000, n_mels=16, window_ms=40, hop_ms=20)
    graph = GraphLogMel(spec, causal=True)
    waveform = 0.1 * torch.randn(3, 1_600, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(waveform, spec.padding(causal=True))
    torch.testing.assert_close(graph.whole_frames(padded), graph(waveform), atol=1e-5, rtol=1e-5)
