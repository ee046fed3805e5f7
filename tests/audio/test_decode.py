# SPDX-License-Identifier: Apache-2.0
"""Whole = blocks = parts, for every format; limits, sources, and what the user reads."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
from helpers.badfiles import encode, tone, wav
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.audio import source as source_module
from auricle.audio.decode import Limits, open_audio, probe, read_audio
from auricle.audio.resample import resample
from auricle.errors import InputError

RATE = 16_000
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "wav24": ("WAVEX", "PCM_24"),
    "adpcm": ("WAV", "IMA_ADPCM"),
    "gsm": ("WAV", "GSM610"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "alac": ("CAF", "ALAC_16"),
    "au": ("AU", "PCM_16"),
}
FILES = {name: encode(tone(40_000), *form) for name, form in FORMATS.items()}


def codes(audio):
    return [flag.code for flag in audio.flags]


@pytest.mark.parametrize("name", ["wav", "wav24", "flac", "aiff", "w64", "rf64", "caf", "alac", "au", "vorbis", "opus"])
def test_samples_are_those_of_soundfile(name):
    reference, _ = soundfile.read(io.BytesIO(FILES[name]), dtype="float32")
    audio = read_audio(io.BytesIO(FILES[name]))
    assert np.array_equal(audio.samples, reference)
    assert (audio.sample_rate, audio.duration, audio.flags) == (RATE, 2.5, ())


def test_pcm_values_by_hand():
    audio = read_audio(io.BytesIO(wav(np.array([0.0, 0.5, -0.5, -1.0]))))
    assert audio.samples.tolist() == [0.0, 0.5, -0.5, -1.0]


def test_mono_is_the_mean_of_the_channels():
    stereo = np.array([[0.5, 0.25], [-0.5, 0.0], [0.125, 0.125]])
    audio = read_audio(io.BytesIO(wav(stereo, "FLOAT")))
    assert audio.samples.tolist() == [0.375, -0.25, 0.125]


@given(name=st.sampled_from(sorted(FORMATS)), block_s=st.floats(0.0001, 3.0), wanted=st.sampled_from([None, 8_000]))
@settings(max_examples=60, deadline=None)
def test_whole_equals_blocks(name, block_s, wanted):
    whole = read_audio(io.BytesIO(FILES[name]), sample_rate=wanted)
    with open_audio(io.BytesIO(FILES[name]), sample_rate=wanted, block_s=block_s) as reader:
        blocks = list(reader)
    size = max(1, round(block_s * (wanted or RATE)))
    assert all(len(block) == size for block in blocks[:-1])
    assert 0 < len(blocks[-1]) <= size
    assert np.array_equal(np.concatenate(blocks), whole.samples)
    assert (reader.duration, reader.flags) == (whole.duration, whole.flags)


@given(name=st.sampled_from(sorted(FORMATS)), start=st.integers(0, 39_999), length=st.integers(1, 50_000))
@settings(max_examples=80, deadline=None)
def test_part_equals_slice_of_whole(name, start, length):
    whole = read_audio(io.BytesIO(FILES[name])).samples
    part = read_audio(io.BytesIO(FILES[name]), offset_s=start / RATE, duration_s=length / RATE)
    assert np.array_equal(part.samples, whole[start : start + length])


def test_part_is_cut_first_and_resampled_then():
    whole = read_audio(io.BytesIO(FILES["flac"])).samples
    part = read_audio(io.BytesIO(FILES["flac"]), sample_rate=8_000, offset_s=0.5, duration_s=0.25)
    assert np.array_equal(part.samples, resample(whole[8_000:12_000], RATE, 8_000))
    assert part.duration == 0.25


def test_part_of_shared_vorbis_files_equals_slice(shared):
    for path in sorted(shared.glob("data/esc10/dog/*.ogg"))[:4]:
        whole = read_audio(path)
        part = read_audio(path, offset_s=3.9, duration_s=0.5)
        start = round(3.9 * whole.sample_rate)
        assert np.array_equal(part.samples, whole.samples[start : start + len(part.samples)])


def test_part_beyond_the_end():
    with pytest.raises(InputError, match=r"begins at or beyond the end of the recording, at 2.5 s") as caught:
        read_audio(io.BytesIO(FILES["wav"]), offset_s=2.5)
    assert caught.value.code == "no_audio"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sample_rate": 0}, "sample_rate is 0, it must be at least 1 Hz"),
        ({"block_s": 0.0}, "block_s is 0.0, it must be more than 0 s"),
        ({"offset_s": -1.0}, "offset_s is -1.0, it must be at least 0 s"),
        ({"offset_s": float("nan")}, "offset_s is nan"),
        ({"duration_s": 0.0}, "duration_s is 0.0, it must be more than 0 s"),
    ],
)
def test_impossible_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        open_audio(io.BytesIO(FILES["wav"]), **options)


def test_probe_decodes_nothing():
    info = probe(io.BytesIO(FILES["flac"]))
    assert (info.format, info.subtype, info.sample_rate, info.channels) == ("FLAC", "PCM_16", RATE, 1)
    assert (info.duration, info.flags, info.path) == (2.5, (), "")


def test_truncated_says_found_and_declared():
    audio = read_audio(io.BytesIO(FILES["wav"][: 44 + 2 * 10_000]))
    assert [flag.to_dict() for flag in audio.flags] == [{"code": "truncated", "declared": 40_000, "found": 10_000}]


def test_flac_keeps_what_comes_before_damage():
    whole = read_audio(io.BytesIO(FILES["flac"])).samples
    audio = read_audio(io.BytesIO(FILES["flac"][:40_000]))
    assert len(audio.samples) % 4096 == 0, "whole FLAC blocks"
    assert 4096 <= len(audio.samples) < 40_000
    assert np.array_equal(audio.samples, whole[: len(audio.samples)])


def test_mp3_of_variable_bit_rate_without_xing_header_is_read_to_its_end():
    data = encode(tone(80_000), "MP3")
    bare = data[data.find(data[:2], 4) :]
    assert read_audio(io.BytesIO(data)).duration == 5.0
    assert 5.0 <= read_audio(io.BytesIO(bare)).duration < 5.1, "encoder padding, and nothing lost"


def test_chained_ogg_is_read_through():
    audio = read_audio(io.BytesIO(FILES["vorbis"] + FILES["vorbis"]))
    alone = read_audio(io.BytesIO(FILES["vorbis"])).samples
    assert np.array_equal(audio.samples, np.concatenate([alone, alone]))


@pytest.mark.parametrize("name", ["flac", "vorbis", "opus", "mp3", "wav"])
def test_limit_on_duration_whatever_the_compression(name):
    limits = Limits(max_duration_s=2.0)
    with pytest.raises(InputError, match=r"longer than the limit of 0\.000555556 h; split it") as caught:
        read_audio(io.BytesIO(FILES[name]), limits=limits)
    assert caught.value.code == "too_long"


def test_uncompressed_bomb_is_refused_before_decoding():
    with pytest.raises(InputError) as caught:
        open_audio(io.BytesIO(FILES["wav"]), limits=Limits(max_duration_s=2.0))
    assert caught.value.code == "too_long"


def test_compressed_bomb_stops_at_the_limit():
    bomb = encode(np.zeros(600 * RATE, np.int16), "FLAC")
    assert len(bomb) < 50_000
    reader = open_audio(io.BytesIO(bomb), block_s=1.0, limits=Limits(max_duration_s=30.0))
    blocks = []
    with reader, pytest.raises(InputError, match="longer than the limit"):
        blocks.extend(reader)
    assert len(blocks) <= 30
    assert reader.duration <= 30


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for minutes in (2, 20):
        path = tmp_path / f"{minutes}.wav"
        path.write_bytes(wav(tone(1600, rate=8_000), rate=8_000)[:44])
        length = minutes * 60 * 8_000 * 2
        with path.open("r+b") as file:
            file.seek(40)
            file.write(length.to_bytes(4, "little"))
            file.truncate(44 + length)
        tracemalloc.start()
        with open_audio(path, sample_rate=RATE, block_s=10.0) as reader:
            total = sum(len(block) for block in reader)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == minutes * 60 * RATE
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 16 * 2**20


class Pipe(io.RawIOBase):
    """A binary stream that cannot seek."""

    def __init__(self, data):
        self._buffer = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, target):
        return self._buffer.readinto(target)


def test_file_object_that_cannot_seek():
    audio = read_audio(io.BufferedReader(Pipe(FILES["flac"])))
    assert audio.duration == 2.5


def test_file_object_that_cannot_seek_is_bounded(monkeypatch):
    monkeypatch.setattr(source_module, "MAX_BUFFERED_BYTES", 1 << 20)
    with pytest.raises(InputError, match="more than 1 MiB from a source that cannot seek; save it to a file") as caught:
        read_audio(io.BufferedReader(Pipe(bytes(3 << 20))))
    assert caught.value.code == "too_long"


def test_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BufferedReader(Pipe(FILES["mp3"]))

    monkeypatch.setattr(sys, "stdin", Stdin)
    audio = read_audio("-")
    assert (audio.duration, audio.path, audio.flags) == (2.5, "-", ())


def test_file_object_stays_open():
    file = io.BytesIO(FILES["wav"])
    read_audio(file)
    assert not file.closed
    assert read_audio(file).duration == 2.5


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"", "empty_file", "0 bytes; get the file again"),
        (b"<html>", "not_audio", "an HTML page, perhaps an error page saved by a download"),
        (b"version https://git-lfs.github.com/spec/v1", "not_audio", "a git-LFS pointer; run 'git lfs pull'"),
        (b"hello there", "not_audio", "text that begins with 'hello there'"),
        (b"\x81\x82\x83\x84" * 10, "not_audio", "it begins with the bytes 81 82 83 84"),
        (FILES["wav"][:30], "bad_header", "chunk b'fmt ' claims 16 bytes where 10 are left in the file"),
        (FILES["wav"][:36], "bad_header", "without a 'data' chunk; get the file again"),
        (FILES["wav"][:20] + b"\x34\x12" + FILES["wav"][22:], "unsupported_codec", "format tag 0x1234"),
        (FILES["wav"][:34] + b"\x0d\0" + FILES["wav"][36:], "unsupported_codec", "bits can be 8, 12, 16, 20, 24, 32"),
        (
            FILES["vorbis"] + encode(tone(8_000), "OGG", rate=8_000),
            "rate_change",
            "streams of 8000 and 16000 Hz; split",
        ),
        (wav(np.full(100, np.nan), "FLOAT"), "nonfinite", "100 % of the samples are NaN or infinite, where 1 % are"),
        (wav(np.full(100, 3e37), "FLOAT"), "out_of_range", "samples of 3e\\+37, where 1 is full scale and 1e\\+10"),
        (wav(np.zeros((9, 65))), "too_many_channels", "65 channels, where 64 are allowed"),
        (wav(rate=999), "rate_out_of_range", "a sample rate of 999 Hz, where 1000 to 768000 Hz are allowed"),
    ],
)
def test_messages(data, code, text):
    with pytest.raises(InputError, match=text) as caught:
        read_audio(io.BytesIO(data))
    assert caught.value.code == code


def test_containers_without_the_extra_name_the_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'an MP4, M4A or MOV file.*pip install "auricle\[codecs\]"') as caught:
        read_audio(io.BytesIO(b"\0\0\0\x18ftypM4A " + bytes(40)))
    assert caught.value.code == "unsupported_codec"


@pytest.mark.parametrize(("format", "codec"), [("mp4", "aac"), ("matroska", "pcm_s16le"), ("webm", "libopus")])
def test_containers_through_codecs(format, codec):
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    samples = tone(24_000, rate=48_000)
    with av.open(buffer, "w", format=format) as container:
        stream = container.add_stream(codec, rate=48_000)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    audio = read_audio(io.BytesIO(buffer.getvalue()), sample_rate=RATE)
    assert audio.duration == pytest.approx(0.5, abs=0.05)
    reference = resample(samples, 48_000, RATE)[1_000:7_000]
    similarity = np.correlate(audio.samples, reference, "valid").max() / np.sum(reference**2)
    assert similarity == pytest.approx(1.0, abs=0.1)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, auricle.audio.decode; print(*({'torch', 'av', 'scipy', 'librosa', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
