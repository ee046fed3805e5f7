# SPDX-License-Identifier: Apache-2.0
"""Each filter bank against the library whose convention it follows."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.errors import UsageError
from auricle.nn.frontends.mel_bank import (
    GraphMelBank,
    mel_bank,
    mel_positions,
)

SHAPES = [
    # sample_rate, n_fft, n_mels, f_min, f_max
    (16_000, 400, 64, 30.0, 8_000.0),
    (16_000, 512, 40, 0.0, 7_600.0),
    (8_000, 200, 16, 30.0, 4_000.0),
    (32_000, 1_024, 128, 50.0, 15_000.0),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_slaney_is_librosas_default(shape):
    from librosa.filters import mel

    sample_rate, n_fft, n_mels, f_min, f_max = shape
    expected = mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max)
    bank = mel_bank(sample_rate, n_fft, n_mels, f_min, f_max, "slaney")
    assert bank.shape == (n_mels, n_fft // 2 + 1)
    assert bank.dtype == np.float32
    np.testing.assert_allclose(bank, expected, atol=1e-7)


@pytest.mark.parametrize(("n_mels", "f_min", "f_max"), [(80, 20.0, 8_000.0), (64, 20.0, 7_600.0), (23, 0.0, 8_000.0)])
def test_kaldi_is_kaldis(n_mels, f_min, f_max):
    import kaldi_native_fbank

    frames = kaldi_native_fbank.FrameExtractionOptions()
    frames.samp_freq, frames.frame_length_ms = 16_000, 25  # Kaldi rounds 400 samples up to an FFT of 512
    options = kaldi_native_fbank.MelBanksOptions()
    options.num_bins, options.low_freq, options.high_freq = n_mels, f_min, f_max
    expected = np.asarray(kaldi_native_fbank.MelBanks(options, frames, 1.0).get_matrix())
    np.testing.assert_allclose(mel_bank(16_000, 512, n_mels, f_min, f_max, "kaldi"), expected, atol=5e-5)


def test_a_bank_of_two_by_hand():
    """Edges at 0 to 3 mel are 0, 200/3, 400/3 and 200 Hz; bins lie 100/3 Hz apart; area 1 needs height 2 / width."""
    height = 2 / (400 / 3)
    expected = height * np.array([[0, 0.5, 1, 0.5, 0, 0, 0], [0, 0, 0, 0.5, 1, 0.5, 0]])
    np.testing.assert_allclose(mel_bank(400, 12, 2, 0, 200, "slaney"), expected, atol=1e-8)


def test_the_positions_of_a_bank_of_two_by_hand():
    """The bins of the bank above: the peaks of band 0 and 1 lie at bins 2 and 4, the outer edges at 0 and 6."""
    positions, heights = mel_positions(400, 12, 2, 0, 200, "slaney")
    np.testing.assert_allclose(positions, [-1, -0.5, 0, 0.5, 1, 1.5, 2], atol=1e-12)
    np.testing.assert_allclose(heights, [0.015, 0.015])


@pytest.mark.parametrize("convention", ["slaney", "kaldi"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_graph_makes_the_same_bank_of_twelve_bytes_a_bin(shape, convention):
    expected = mel_bank(*shape, convention)
    positions, heights = mel_positions(*shape, convention)
    made = GraphMelBank(positions, heights)
    np.testing.assert_allclose(made().numpy(), expected, atol=2e-7 * expected.max())
    assert sum(b.nbytes for b in made.buffers()) == 12 * len(positions) + 12 * len(expected)
    gains = np.linspace(1, 2, len(positions))
    np.testing.assert_allclose(
        GraphMelBank(positions, heights, gains)().numpy(), expected * gains, atol=4e-7 * expected.max()
    )


@pytest.mark.parametrize("convention", ["slaney", "kaldi"])
def test_too_narrow_bands_are_refused_with_a_way_out(convention):
    with pytest.raises(UsageError) as caught:
        mel_bank(16_000, 256, 128, 0, 8_000, convention)
    text = str(caught.value)
    assert text.startswith("128 mel bands from 0 to 8000 Hz leave band ")
    assert text.endswith("without a frequency bin (bins are 62.5 Hz apart); use fewer bands or a longer window")


def test_an_unknown_convention_is_refused():
    with pytest.raises(UsageError, match=r"mel convention 'htk' is unknown; known: kaldi, slaney"):
        mel_bank(16_000, 400, 64, 30, 8_000, "htk")
