# SPDX-License-Identifier: Apache-2.0
"""The front end of EfficientAT: a slow reference, and its two forms equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auricle.nn.frontends.kaldi_mel import GraphKaldiMel, KaldiMel, KaldiMelSpec
from auricle.nn.frontends.mel_bank import mel_bank

SPECS = {"published": KaldiMelSpec(), "8 kHz": KaldiMelSpec(8_000, 20, f_max=None)}


def reference(spec: KaldiMelSpec, samples: np.ndarray) -> np.ndarray:
    """Frame by frame in float64: pre-emphasis, reflected ends, Hann window in the middle of the FFT, bands, scale."""
    emphasised = samples[1:].astype(np.float64) - 0.97 * samples[:-1]
    padded = np.pad(emphasised, spec.n_fft // 2, mode="reflect")
    window = np.zeros(spec.n_fft)
    left = (spec.n_fft - spec.window_samples) // 2
    window[left : left + spec.window_samples] = np.hanning(spec.window_samples)
    f_max = spec.sample_rate / 2 if spec.f_max is None else spec.f_max
    bank = mel_bank(spec.sample_rate, spec.n_fft, spec.n_mels, spec.f_min, f_max, "kaldi")
    frames = []
    for start in range(0, len(padded) - spec.n_fft + 1, spec.hop_samples):
        power = np.abs(np.fft.rfft(padded[start : start + spec.n_fft] * window)) ** 2
        frames.append((np.log(bank @ power + 1e-5) + 4.5) / 5)
    return np.stack(frames, axis=1)


@pytest.mark.parametrize("form", [KaldiMel, GraphKaldiMel])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_both_forms_equal_the_reference(spec, form):
    samples = (0.1 * np.random.default_rng(0).standard_normal(spec.sample_rate // 4)).astype(np.float32)
    found = form(spec)(torch.from_numpy(samples)[None])[0].numpy()
    expected = reference(spec, samples)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_published_numbers():
    spec = KaldiMelSpec()
    assert (spec.window_samples, spec.hop_samples, spec.n_fft, spec.n_mels) == (800, 320, 1024, 128)
    assert KaldiMel(spec)(torch.zeros(1, 320_000)).shape == (1, 128, 1_000)
    silence = KaldiMel(spec)(torch.zeros(1, 3_200))
    assert silence.unique().item() == pytest.approx((np.log(1e-5) + 4.5) / 5)


def test_it_stays_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert KaldiMel(KaldiMelSpec())(torch.randn(1, 1_600)).dtype == torch.float32
