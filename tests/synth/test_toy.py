# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import soundfile

from auricle.data.formats.registry import read_manifest
from auricle.errors import RunError
from auricle.synth.toy import MAKERS, NEGATIVE_FOLDER, make_clip, synthesise

RATE = 16_000
CLASSES = [*MAKERS, NEGATIVE_FOLDER]


def clip(label, seed=0, clip_s=2.0, sample_rate=RATE):
    return make_clip(label, clip_s=clip_s, sample_rate=sample_rate, generator=np.random.default_rng(seed))


def spectrum(samples, sample_rate=RATE):
    """Return frequencies in Hz and the share of power at each."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / sample_rate), power / power.sum()


def share(samples, low_hz, high_hz):
    frequency, power = spectrum(samples)
    return power[(frequency >= low_hz) & (frequency < high_hz)].sum()


def crest(samples):
    return np.abs(samples).max() / np.sqrt(np.mean(samples**2))


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize(("clip_s", "sample_rate"), [(2.0, 16_000), (0.1, 8_000), (0.5, 44_100)])
def test_every_class_at_any_length_and_rate(label, clip_s, sample_rate):
    for seed in range(5):
        samples = clip(label, seed, clip_s, sample_rate)
        assert samples.shape == (round(clip_s * sample_rate),)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert 0.001 < np.abs(samples).max() <= 0.95 + 1e-6


@pytest.mark.parametrize("label", CLASSES)
def test_clips_of_a_class_vary_and_equal_seeds_do_not(label):
    a, b, c = clip(label, 1), clip(label, 1), clip(label, 2)
    np.testing.assert_array_equal(a, b)
    assert abs(np.corrcoef(a, c)[0, 1]) < 0.9


@pytest.mark.parametrize("seed", range(6))
class TestPhysics:
    def test_buzz_stands_on_twice_the_mains(self, seed):
        frequency, power = spectrum(clip("buzz", seed, 4.0))
        low = (frequency > 40) & (frequency < 130)
        peak = frequency[low][power[low].argmax()]
        assert min(abs(peak - 100), abs(peak - 120)) < 16  # with its modulation beside it

    def test_engine_is_low(self, seed):
        assert share(clip("engine", seed), 0, 2_000) > 0.9

    def test_chirp_is_high(self, seed):
        assert share(clip("chirp", seed), 1_800, 8_000) > 0.9

    def test_rain_is_broad_bright_noise(self, seed):
        frequency, power = spectrum(clip("rain", seed))
        bands = [power[(frequency >= low) & (frequency < low + 1_000)].sum() for low in range(3_000, 7_000, 1_000)]
        assert min(bands) > 0.02
        assert share(clip("rain", seed), 0, 400) < 0.1

    def test_clicks_are_short_peaks(self, seed):
        assert crest(clip("clicks", seed)) > 6

    def test_siren_is_a_swinging_tone(self, seed):
        samples = clip("siren", seed)
        assert share(samples, 250, 1_700) > 0.5
        peaks = [spectrum(samples[i : i + 1600])[1].argmax() for i in range(0, len(samples) - 1600, 800)]
        assert max(peaks) - min(peaks) > 10  # of 10 Hz each


def test_the_data_set_is_a_function_of_its_seed(tmp_path):
    out = synthesise(tmp_path / "a", clips_per_class=2, clip_s=0.2, seed=1)
    synthesise(tmp_path / "b", clips_per_class=3, clip_s=0.2, seed=1)
    synthesise(tmp_path / "c", clips_per_class=2, clip_s=0.2, seed=2)
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*.wav"))
    assert len(names) == 2 * len(CLASSES)
    for name in names:  # more clips leave the first ones as they were
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_it_reads_as_class_folders_with_negatives(tmp_path):
    manifest = read_manifest(synthesise(tmp_path / "set", clips_per_class=2, clip_s=0.1))
    assert (manifest.format, manifest.task, manifest.labels, manifest.negatives) == (
        "folders",
        "single",
        tuple(MAKERS),
        2,
    )
    info = soundfile.info(manifest.clips[0].path)
    assert (info.samplerate, info.subtype, info.frames) == (16_000, "PCM_16", 1_600)


def test_a_full_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RunError, match=r"is not empty \(it holds mine.txt\); choose a new folder"):
        synthesise(tmp_path)


@pytest.mark.parametrize("wrong", [{"clips_per_class": 0}, {"clip_s": 0.05}, {"sample_rate": 4_000}])
def test_what_makes_no_clip(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"need clips_per_class >= 1, clip_s >= 0.1 and sample_rate >= 8000"):
        synthesise(tmp_path / "x", **wrong)
