# SPDX-License-Identifier: Apache-2.0
"""Vocoders: what they keep, what they throw away, and what is said where one is not installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from auricle.errors import UsageError
from auricle.synth.vocoders import griffin_lim, mel_triangles, world

RATE = 8_000
TIME = np.arange(RATE) / RATE
VOICE = np.sum([np.sin(2 * np.pi * 200 * k * TIME) / k for k in range(1, 8)], axis=0).astype(np.float32) * 0.3


def test_triangles_by_hand():
    """Two bands to 700 (e - 1) Hz, which is 1 on the natural mel scale: edges at 0, 1/3, 2/3 and 1 of it."""
    top = 700 * np.expm1(1.0)
    bank = mel_triangles(2, 101, 2 * top)
    edges = 700 * np.expm1(np.array([0, 1 / 3, 2 / 3, 1]))
    frequency = 50 / 100 * top  # between the second and the third edge: the first band falls, the second one rises
    assert bank[0, 50] == pytest.approx((edges[2] - frequency) / (edges[2] - edges[1]))
    assert bank[1, 50] == pytest.approx((frequency - edges[1]) / (edges[2] - edges[1]))
    assert bank[0, 80] == 0
    assert bank.shape == (2, 101)
    assert bank.max() <= 1


def test_griffin_lim_keeps_the_bands_and_loses_the_waveform():
    out = griffin_lim(VOICE, RATE, bands=80, steps=32)
    assert (out.shape, out.dtype) == (VOICE.shape, np.float32)
    inside = slice(1_000, -1_000)
    assert np.sqrt(np.mean(out[inside] ** 2)) == pytest.approx(np.sqrt(np.mean(VOICE[inside] ** 2)), rel=0.25)
    spectrum = np.abs(np.fft.rfft(out[inside] * np.hanning(6_000)))
    assert abs(np.argmax(spectrum) * RATE / 6_000 - 200) < 15
    assert np.abs(out - VOICE)[inside].max() > 0.1
    assert np.array_equal(out, griffin_lim(VOICE, RATE, bands=80, steps=32))
    assert not np.array_equal(out, griffin_lim(VOICE, RATE, bands=80, steps=32, seed=1))


def test_more_steps_agree_better_with_the_magnitudes():
    """The distance that Griffin and Lim make smaller: between wanted magnitudes and those of what came out."""

    def distance(steps: int) -> float:
        out = griffin_lim(VOICE, RATE, bands=400, steps=steps)
        spectra = [
            np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, 1024)[::256] * np.hanning(1024)))
            for x in (VOICE, out)
        ]
        return float(np.linalg.norm(spectra[0] - spectra[1]) / np.linalg.norm(spectra[0]))

    assert distance(32) < 0.8 * distance(1)


def test_silence_and_a_few_samples():
    assert not griffin_lim(np.zeros(5_000, np.float32), RATE).any()
    assert griffin_lim(VOICE[:10], RATE).shape == (10,)


def test_world_passes_on_what_pyworld_finds(monkeypatch):
    """With an engine whose voice is its pitch: the pitch is multiplied, the envelope is coded if so asked."""
    calls = []
    engine = SimpleNamespace(
        dio=lambda x, rate: (np.full(3, 100.0), np.arange(3.0)),
        stonemask=lambda x, f0, t, rate: f0 + 20,
        cheaptrick=lambda x, f0, t, rate: np.ones((3, 5)),
        d4c=lambda x, f0, t, rate: np.zeros((3, 5)),
        get_cheaptrick_fft_size=lambda rate: 8,
        code_spectral_envelope=lambda e, rate, bands: calls.append(bands) or e[:, :2],
        decode_spectral_envelope=lambda e, rate, size: np.full((3, size // 2 + 1), 7.0),
        synthesize=lambda f0, e, a, rate: np.array([f0[0], e[0, 0], a[0, 0]]),
    )
    monkeypatch.setitem(sys.modules, "pyworld", engine)
    sound = np.zeros(5, np.float32)
    assert world(sound, RATE, pitch=0.5).tolist() == [60, 1, 0, 0, 0]
    assert world(sound, RATE, bands=24).tolist() == [120, 7, 0, 0, 0]
    assert calls == [24]
    assert world(sound[:2], RATE).tolist() == [120, 1]


def test_world_needs_a_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(UsageError, match=r'needs the package pyworld: pip install "auricle\[voices\]", or leave it'):
        world(VOICE, RATE)
