# SPDX-License-Identifier: Apache-2.0
"""Cut-outs: the very samples of the recording, between the very times, and metadata that say which."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

import auricle
from auricle.audio.cutouts import CutoutOptions, encode_cutout, read_cutout_tags, write_cutouts
from auricle.errors import InputError, UsageError
from auricle.results import Event

RATE = 8_000


def ramp(seconds, channels=1, bits=16):
    """Return samples that are all different in a second: number ``i`` is a function of ``i``, another a channel."""
    index = np.arange(int(seconds * RATE))[:, None] * np.arange(1, channels + 1) * 7919
    if bits == 16:
        return ((index % 65_536) - 32_768).astype(np.int16)
    return (((index * 257) % (1 << 24)) - (1 << 23)).astype(np.int32) << 8


@pytest.fixture
def night(tmp_path):
    path = tmp_path / "night.wav"
    soundfile.write(path, ramp(10, 2), RATE, subtype="PCM_16")
    return path


@pytest.mark.parametrize("format", ["flac", "wav"])
def test_a_cut_out_holds_the_very_samples_of_its_part(night, tmp_path, format):
    (path,) = auricle.cut_out(night, [Event("dog", 3.0, 4.5, 0.75)], tmp_path / "out", tail_s=0.25, format=format)
    assert path == tmp_path / "out" / f"night.wav_00003.000-00004.500_dog.{format}"
    samples, rate = soundfile.read(path, dtype="int16")
    assert (rate, samples.shape) == (RATE, (22_000, 2)), "from 2 s to 4.75 s"
    np.testing.assert_array_equal(samples, ramp(10, 2)[16_000:38_000])


def test_a_cut_out_is_clamped_to_the_recording(night, tmp_path):
    events = [Event("dog", 0.5, 1.0, 0.5), Event("cat", 9.5, 10.0, 0.5)]
    first, last = auricle.cut_out(night, events, tmp_path / "out")
    np.testing.assert_array_equal(soundfile.read(first, dtype="int16")[0], ramp(10, 2)[: 2 * RATE])
    np.testing.assert_array_equal(soundfile.read(last, dtype="int16")[0], ramp(10, 2)[int(8.5 * RATE) :])
    assert read_cutout_tags(first)["start"] == 0.0
    assert read_cutout_tags(last)["start"] == 8.5


def test_metadata_are_read_back(night, tmp_path):
    event = Event("Schrei, 鳥", 3.1234567, 4.5, 0.87654321)
    for format in ("flac", "wav"):
        (path,) = auricle.cut_out(night, [event], tmp_path, lead_s=0.5, format=format)
        assert read_cutout_tags(path) == {
            "label": "Schrei, 鳥",
            "onset": 3.123457,
            "offset": 4.5,
            "score": 0.876543,
            "start": 2.6235,  # sample 20,988 of 8,000 a second
            "source": "night.wav",
        }
        with soundfile.SoundFile(path) as file:
            assert file.title == "Schrei, 鳥"
            assert file.software.startswith("auricle ")


@pytest.mark.parametrize(
    ("subtype", "format", "expected"),
    [
        ("PCM_24", "flac", "PCM_24"),
        ("PCM_24", "wav", "PCM_24"),
        ("PCM_U8", "flac", "PCM_16"),
        ("FLOAT", "flac", "PCM_24"),
        ("FLOAT", "wav", "FLOAT"),
    ],
)
def test_bits_of_the_recording_are_kept(tmp_path, subtype, format, expected):
    path = tmp_path / "a.wav"
    samples = ramp(3, bits=24) if subtype == "PCM_24" else ramp(3)
    soundfile.write(path, samples / 32_768 if subtype == "FLOAT" else samples, RATE, subtype=subtype)
    (cut,) = auricle.cut_out(path, [Event("x", 1.0, 2.0, 1.0)], tmp_path / "out", lead_s=0, tail_s=0, format=format)
    assert soundfile.info(cut).subtype == expected
    np.testing.assert_array_equal(soundfile.read(cut)[0], soundfile.read(path, start=RATE, stop=2 * RATE)[0])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_events_that_overlap_stand_in_any_order_or_are_equal_are_each_cut(tmp_path, suffix):
    """Longer than one block of the decoder, and with parts that nobody wants in between (Ogg is read through)."""
    path = tmp_path / f"long.{suffix}"
    tone = np.sin(np.arange(60 * RATE) / 40) * np.linspace(0.1, 0.9, 60 * RATE)
    soundfile.write(path, tone, RATE)
    whole = auricle.audio.decode.read_audio(path).samples
    spans = [(50.0, 51.0), (2.0, 40.0), (3.0, 3.5), (3.0, 3.5), (0.0, 0.25)]
    events = [Event("a", *span, 0.5) for span in spans]
    paths = auricle.cut_out(path, events, tmp_path / "out", lead_s=0, tail_s=0)
    assert len(set(paths)) == 5
    assert paths[3].name == f"long.{suffix}_00003.000-00003.500_a-2.flac"
    for cut, (onset, offset) in zip(paths, spans, strict=True):
        expected = np.rint(whole[int(onset * RATE) : int(offset * RATE)].astype(np.float64) * 32_768)
        np.testing.assert_array_equal(soundfile.read(cut, dtype="int16")[0], expected)


def test_labels_and_names_that_no_file_system_takes(night, tmp_path):
    events = [Event("a/b:c\n", 1.0, 2.0, 0.5), Event("a/b?c\n", 1.0, 2.0, 0.5), Event("ü" * 300, 1.0, 2.0, 0.5)]
    first, second, third = auricle.cut_out(night, events, tmp_path / "out")
    assert first.name == "night.wav_00001.000-00002.000_a_b_c_.flac"
    assert second.name == "night.wav_00001.000-00002.000_a_b_c_-2.flac"
    assert third.name == f"night.wav_00001.000-00002.000_{'ü' * 40}.flac"
    assert read_cutout_tags(first)["label"] == "a/b:c\n"


def test_files_lie_in_a_tree_like_that_of_the_recordings(night, tmp_path):
    options = CutoutOptions(str(tmp_path / "out"))
    (path,) = write_cutouts(night, "../archive/2024/night.wav", [Event("x", 1.0, 2.0, 0.5)], options)
    assert path.parent == tmp_path / "out" / "archive" / "2024"


def test_bytes_are_those_of_the_file(night, tmp_path):
    event, options = Event("dog", 3.0, 4.0, 0.5), CutoutOptions(str(tmp_path / "out"), format="wav")
    (path,) = write_cutouts(night, night.name, [event], options)
    data = encode_cutout(night, night.name, event, options)
    assert data == path.read_bytes()
    assert read_cutout_tags(io.BytesIO(data))["onset"] == 3.0


def test_nothing_is_left_of_what_failed(night, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="an event begins at or beyond the end of the recording, at 10 s"):
        auricle.cut_out(night, [Event("x", 1.0, 2.0, 0.5), Event("x", 20.0, 21.0, 0.5)], out)
    assert list(out.iterdir()) == []
    assert auricle.cut_out(night, [], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_more_channels_than_flac_holds(tmp_path):
    path = tmp_path / "many.wav"
    soundfile.write(path, ramp(2, 10), RATE)
    event = Event("x", 0.5, 1.0, 0.5)
    with pytest.raises(InputError, match="10 channels, where FLAC holds 8; cut out as WAV") as caught:
        auricle.cut_out(path, [event], tmp_path / "out")
    assert caught.value.code == "too_many_channels"
    (cut,) = auricle.cut_out(path, [event], tmp_path / "out", format="wav")
    assert soundfile.info(cut).channels == 10


def test_wrong_use(night, tmp_path):
    event = Event("x", 1.0, 2.0, 0.5)
    with pytest.raises(UsageError, match="lead = -1 s; give 0 or more seconds of sound around an event"):
        auricle.cut_out(night, [event], tmp_path, lead_s=-1)
    with pytest.raises(UsageError, match="tail = inf s"):
        auricle.cut_out(night, [event], tmp_path, tail_s=float("inf"))
    with pytest.raises(UsageError, match="cut-outs are written as flac, wav, not as 'mp3'"):
        auricle.cut_out(night, [event], tmp_path, format="mp3")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cut-outs cannot be written into .*file .*; choose another folder"):
        auricle.cut_out(night, [event], tmp_path / "file")


def test_what_is_not_a_cut_out_is_refused(night, tmp_path):
    with pytest.raises(InputError, match="not a cut-out: no sound, or no metadata of auricle"):
        read_cutout_tags(night)
    (tmp_path / "text.wav").write_text("x")
    with pytest.raises(InputError, match="not a cut-out"):
        read_cutout_tags(tmp_path / "text.wav")
    with soundfile.SoundFile(tmp_path / "other.wav", "w", RATE, 1) as file:
        file.comment = '{"mood": "blue"}'
    with pytest.raises(InputError, match="its metadata are not auricle's"):
        read_cutout_tags(tmp_path / "other.wav")
