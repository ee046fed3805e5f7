# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import soundfile

from auricle.data.clip_audio import probe_clip, read_clip
from auricle.data.manifest import ArraySpec, Clip
from auricle.errors import InputError

RATE = 8_000
WAVEFORM = ArraySpec("waveform", RATE)


@pytest.fixture
def ramp(tmp_path):
    """The same second of sound as audio and as an array: ``(clip of wav, clip of npy, samples)``."""
    samples = (np.arange(RATE) / RATE - 0.5).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    np.save(tmp_path / "a.npy", samples)
    return Clip("a.wav", str(tmp_path / "a.wav")), Clip("a.npy", str(tmp_path / "a.npy")), samples


def cut(clip, onset=None, offset=None):
    return Clip(clip.key, clip.path, onset=onset, offset=offset)


@pytest.mark.parametrize(
    ("onset", "offset", "first", "stop"),
    [(None, None, 0, 8000), (0.25, None, 2000, 8000), (None, 0.5, 0, 4000), (0.25, 0.5, 2000, 4000)],
)
def test_audio_and_array_give_the_same_segment(ramp, onset, offset, first, stop):
    wav, npy, samples = ramp
    for clip in (wav, npy):
        audio = read_clip(cut(clip, onset, offset), WAVEFORM)
        np.testing.assert_array_equal(audio.samples, samples[first:stop])
        assert (audio.sample_rate, audio.duration) == (RATE, (stop - first) / RATE)
        assert [f.code for f in audio.flags] == []


def test_both_are_resampled_alike(ramp):
    wav, npy, _ = ramp
    a, b = (read_clip(clip, WAVEFORM, sample_rate=16_000) for clip in (wav, npy))
    np.testing.assert_array_equal(a.samples, b.samples)
    assert (len(b.samples), b.sample_rate, b.duration) == (16_000, 16_000, 1.0)


def test_a_segment_cut_by_the_end_is_flagged(ramp):  # L17
    for clip in ramp[:2]:
        (flag,) = read_clip(cut(clip, 0.5, 1.5), WAVEFORM).flags
        assert flag.to_dict() == {"code": "clipped_event", "wanted_s": 1.0, "found_s": 0.5}


def test_a_segment_may_end_a_rounding_after_its_file(ramp):
    assert read_clip(cut(ramp[0], 0.0, 1.005)).flags == ()


def test_a_segment_after_the_end(ramp):  # L17
    for clip in ramp[:2]:
        with pytest.raises(InputError, match="begins at or beyond the end of the recording, at 1 s") as caught:
            read_clip(cut(clip, 2.0, 3.0), WAVEFORM)
        assert caught.value.code == "no_audio"


def test_headers(ramp):
    wav, npy, _ = ramp
    facts = probe_clip(wav)
    assert (facts.duration, facts.sample_rate, facts.channels, facts.format) == (1.0, RATE, 1, "WAV FLOAT")
    facts = probe_clip(npy, WAVEFORM)
    assert (facts.duration, facts.sample_rate, facts.format) == (1.0, RATE, "NPY waveform")
    with pytest.raises(InputError, match=r"a.npy: shape \(8000,\); a log-mel has shape \(mel, frame\)"):
        probe_clip(npy, ArraySpec("logmel", RATE, {}))
    np.save(npy.path, np.zeros((40, 9), np.float32))
    facts = probe_clip(npy, ArraySpec("logmel", RATE, {}))
    assert (facts.duration, facts.format) == (None, "NPY logmel")


def test_arrays_that_are_no_waveforms(ramp):
    with pytest.raises(InputError, match=r"a.npy is a log-mel, where a waveform is needed"):
        read_clip(ramp[1], ArraySpec("logmel", RATE, {}))
    with pytest.raises(InputError, match=r"a.npy: nothing says what this array holds"):
        read_clip(ramp[1])
