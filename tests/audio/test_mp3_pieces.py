# SPDX-License-Identifier: Apache-2.0
"""MP3 as it is found: behind junk, joined, damaged inside, cut, with tags between; every frame is heard."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile
from helpers.badfiles import encode, tone
from helpers.oddfiles import ape, id3v1, id3v2, read

from auricle.audio.decode import read_audio
from auricle.audio.headers.mpeg_frames import find_frame, frame_bytes, runs
from auricle.audio.headers.sniff import sniff
from auricle.audio.source import MemorySource
from auricle.errors import InputError

#: MPEG-2 at 16 kHz with a Xing frame, and MPEG-1 at 44.1 kHz.
MP3 = encode(tone(16_000), "MP3")
MP3_44 = encode(tone(44_100, rate=44_100), "MP3", rate=44_100)
FRAMES = runs(MemorySource(MP3), 0)[0]
NOISE = np.random.default_rng(5).bytes(3_000).replace(b"\xff", b"\xfe")


@pytest.mark.parametrize("fork", ["._", ".AppleDouble"])
def test_a_resource_fork_in_the_current_folder_is_never_read_as_sound(tmp_path, monkeypatch, fork):
    (tmp_path / "a.mp3").write_bytes(MP3)
    (tmp_path / "a.bin").write_bytes(NOISE)
    (tmp_path / "a.wav").write_bytes(encode(tone(16_000), "WAV"))
    monkeypatch.chdir(tmp_path)
    if fork == "._":
        soundfile.write("x.sd2", np.zeros((100, 2)), 16_000, format="SD2", subtype="PCM_16")
        (tmp_path / "._x.sd2").rename(fork)
    else:
        (tmp_path / fork).mkdir()
    with pytest.raises(InputError, match=rf"the current folder holds '{re.escape(fork)}', which libsndfile") as caught:
        read_audio("a.mp3")
    assert caught.value.code == "io_error"
    with pytest.raises(InputError, match="no audio format that is known here"):
        read_audio("a.bin")
    assert len(read_audio("a.wav").samples) == 16_000
    monkeypatch.chdir(tmp_path.parent)
    assert len(read_audio(str(tmp_path / "a.mp3")).samples) >= 16_000


def starts(data: bytes) -> list[int]:
    """Where frames begin, by hand: from header to header."""
    found, at = [], 0
    while at < len(data):
        found.append(at)
        at += frame_bytes(data[at : at + 4])
    return found


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xfb\x90\x64", 417),  # 144 * 128,000 / 44,100
        (b"\xff\xfb\x92\x64", 418),  # and a byte of padding
        (b"\xff\xf3\x88\xc4", 288),  # MPEG-2: 72 * 64,000 / 16,000
        (b"\xff\xe3\x88\xc4", 576),  # MPEG-2.5 at 8 kHz
        (b"\xff\xfd\x90\x04", 522),  # layer II: 144 * 160,000 / 44,100
        (b"\xff\xff\x90\x04", 312),  # layer I: (12 * 288,000 / 44,100) slots of 4 bytes
        (b"\xff\xfb\x00\x64", 0),  # free format does not say
        (b"RIFF", 0),
    ],
)
def test_length_of_a_frame(head, expected):
    assert frame_bytes(head) == expected


@pytest.mark.parametrize("junk", [bytes(4_000), NOISE, b"icy-name: a radio\r\n" * 40, ape(), MP3[300:340]])
@pytest.mark.parametrize("data", [MP3, MP3_44])
def test_junk_before_the_first_frame_is_skipped(junk, data):
    plain, _ = read(data)
    audio, codes = read(junk + data)
    assert np.array_equal(audio.samples, plain.samples)
    assert codes == set()


def test_damaged_frames_before_the_first_whole_one_are_said():
    second, third = starts(MP3)[1:3]
    damaged = MP3[second:third][:120] + bytes(90)
    _, codes = read(damaged + MP3)
    assert codes == {"decode_gap"}


@pytest.mark.parametrize("between", [b"", id3v2(500), id3v1(), id3v1() + id3v2(200), bytes(2_000)])
@pytest.mark.parametrize("count", [2, 3])
def test_joined_files_are_heard_whole(between, count):
    audio, codes = read(between.join([MP3] * count))
    one, _ = read(MP3)
    assert len(audio.samples) == count * len(one.samples)
    assert np.array_equal(audio.samples[-len(one.samples) :], one.samples)
    assert codes == set()


def test_joined_to_one_without_a_xing_frame():
    """The first Xing frame counts the first file only: its count is a conflict, and all is heard."""
    more = MP3[starts(MP3)[1] :]
    audio, codes = read(MP3 + more)
    assert len(audio.samples) >= 2 * 16_000
    assert codes == {"length_conflict"}


def test_joined_files_of_two_rates_are_refused():
    with pytest.raises(
        InputError, match="joined MP3 files of 16000 and 44100 Hz, or of other channels; split"
    ) as caught:
        read(MP3 + MP3_44)
    assert caught.value.code == "rate_change"


@pytest.mark.parametrize("junk", [NOISE[:5], NOISE, bytes(1_200), bytes(70_000)])
def test_junk_between_frames_ends_nothing(junk):
    """The decoder itself gives up behind 1 KB of it."""
    middle = starts(MP3)[9]
    plain, _ = read(MP3)
    audio, codes = read(MP3[:middle] + junk + MP3[middle:])
    assert np.array_equal(audio.samples, plain.samples)
    assert codes == {"decode_gap"}


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
@pytest.mark.parametrize("has_xing", [True, False])
def test_a_cut_within_a_frame_is_said(share, has_xing):
    data = MP3 if has_xing else MP3[starts(MP3)[1] :]
    at = next(start for start in starts(data) if start > share * len(data)) + 40
    _, codes = read(data[:at])
    assert codes == {"truncated"}


def test_a_cut_between_frames_is_said_where_a_xing_frame_counts_them():
    _, codes = read(MP3[: starts(MP3)[9]])
    assert codes == {"truncated"}


@pytest.mark.parametrize("junk", [NOISE, b"some text at the end " * 20])
def test_junk_behind_the_last_frame_is_said(junk):
    plain, _ = read(MP3)
    audio, codes = read(MP3 + junk)
    assert np.array_equal(audio.samples, plain.samples)
    assert codes == {"trailing_data"}


def test_zeros_behind_the_last_frame_are_nothing():
    assert read(MP3 + bytes(999))[1] == set()


@pytest.mark.parametrize("at", [6, 9])
def test_a_xing_frame_that_the_decoder_does_not_take_for_one(at):
    """Behind side information that is not zero the tag is no tag: the length is not guessed from the bit rate."""
    damaged = bytearray(MP3)
    damaged[at] ^= 1
    audio, _ = read(bytes(damaged))
    assert len(audio.samples) >= 16_000


def test_a_picture_in_a_tag_between_files_is_skipped_by_its_length():
    """Its bytes may look like frames: here they are some."""
    picture = MP3[starts(MP3)[2] : starts(MP3)[9]] * 3
    tag = id3v2(len(picture) + 100)[:110] + picture
    one, _ = read(MP3)
    audio, codes = read(MP3 + tag + MP3)
    assert len(audio.samples) == 2 * len(one.samples)
    assert codes == set()


@pytest.mark.parametrize("junk", [b"\xff", b"\xff\xfb\x90\x00\x00", b"\xff\xf3\x88"])
def test_much_junk_takes_no_time_and_is_said(junk):
    import time

    began = time.process_time()
    _, codes = read(MP3 + junk * (8_000_000 // len(junk)))
    assert codes & {"trailing_data", "decode_gap", "truncated", "length_conflict"}
    assert time.process_time() - began < 10


def test_noise_is_no_mp3():
    noise = np.random.default_rng(3).bytes(200_000)
    assert sniff(MemorySource(b"\x81" + noise)).name == "unknown"
    assert find_frame(NOISE) == -1


def test_runs_by_hand():
    junk = b"\x12" * 700
    middle = starts(MP3)[9]
    first, second = runs(MemorySource(MP3[:middle] + junk + MP3[middle:]), 0)
    assert (first.start, first.stop, first.frames) == (0, middle, 9)
    assert (second.start, second.stop) == (middle + 700, len(MP3) + 700)
    assert first.frames + second.frames == FRAMES.frames
    assert first.titles == [(0, 0)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_the_decoder_mutes_is_a_flag_and_nothing_is_written(seed, capfd):
    damaged = bytearray(MP3)
    for start in starts(MP3)[5:25:4]:
        damaged[start + 4 : start + 40] = np.random.default_rng((seed, start)).bytes(36)
    _, codes = read(bytes(damaged))
    assert codes == {"decode_gap"}
    assert capfd.readouterr().err == ""
