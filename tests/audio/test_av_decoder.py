# SPDX-License-Identifier: Apache-2.0
"""What FFmpeg's libraries read: whole files without a flag, cuts with one, and nothing but the file itself."""

from __future__ import annotations

import io
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.badfiles import RATE, flipped, tone

from auricle.audio.decode import read_audio
from auricle.errors import InputError

av = pytest.importorskip("av")

#: Container, codec, rate: what has an encoder in every build of ``av``.
KINDS = (
    ("mp4", "aac", 16_000),
    ("mov", "pcm_s16le", 16_000),
    ("webm", "libopus", 48_000),
    ("matroska", "flac", 16_000),
    ("flv", "aac", 44_100),
    ("avi", "mp2", 44_100),
    ("avi", "pcm_s16le", 44_100),
    ("adts", "aac", 16_000),
    ("ac3", "ac3", 48_000),
    ("tta", "tta", 16_000),
    ("wv", "wavpack", 16_000),
    ("wav", "libmp3lame", 44_100),
    ("ogg", "flac", 16_000),
    ("caf", "pcm_s24be", 16_000),
    ("w64", "pcm_s16le", 16_000),
    ("aiff", "pcm_s24be", 16_000),
    ("voc", "pcm_s16le", 16_000),
    ("mp2", "mp2", 44_100),
    ("mp3", "libmp3lame", 44_100),
)
SECONDS = 2


def encoded(container: str, codec: str, rate: int) -> bytes:
    """Two seconds as FFmpeg writes them."""
    buffer, sound = io.BytesIO(), tone(SECONDS * rate, rate=rate)
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=rate)
        step = max(stream.codec_context.frame_size, 1_024)
        for start in range(0, len(sound), step):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + step], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            for ready in resampler.resample(frame):
                file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files():
    return {kind: encoded(*kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_a_whole_file_has_no_flag(files, kind):
    audio = read_audio(io.BytesIO(files[kind]))
    assert audio.flags == ()
    assert SECONDS <= audio.duration + 1e-6 < SECONDS + 0.2
    assert np.abs(audio.samples).max() > 0.2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
@pytest.mark.parametrize("share", [0.3, 0.55, 0.9])
def test_a_cut_is_said(files, kind, share):
    try:
        audio = read_audio(io.BytesIO(files[kind][: int(share * len(files[kind]))]))
    except InputError as error:
        assert error.code != "unsupported_codec"  # noqa: PT017 (either is right)
    else:
        assert {flag.code for flag in audio.flags} & {"truncated", "decode_gap"}


SDP = b"c=IN IP4 127.0.0.1\nm=audio %d RTP/AVP 0\n"


@pytest.mark.parametrize("head", [b"s=12345\nAVI \n", b"v=0\ns=x\nWAVE\n", b"RIFF1234AVI \n", b"\0\0\0\x20ftypM4A \n"])
def test_a_session_description_opens_no_socket(head):
    """FFmpeg takes such a file for what it looks like to it; told what it is, it finds nothing there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1] & ~1
    open_ports: set[str] = set()

    def look() -> None:
        while not done.wait(0.001):
            lines = Path("/proc/net/udp").read_text().splitlines()[1:]
            open_ports.update(line.split()[1][-5:] for line in lines)

    done = threading.Event()
    watcher = threading.Thread(target=look)
    watcher.start()
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        read_audio(io.BytesIO(head + SDP % port))
    done.set()
    watcher.join()
    assert caught.value.code in {"not_audio", "unsupported_codec", "corrupt", "bad_header"}
    assert not open_ports & {f":{port:04X}", f":{port + 1:04X}"}
    assert time.monotonic() - began < 5, "it waits for no sound from the net"


def test_a_playlist_is_no_recording(tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encoded("wav", "pcm_s16le", RATE))
    for text in (f"ffconcat version 1.0\nfile {secret}\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n"):
        with pytest.raises(InputError) as caught:
            read_audio(io.BytesIO(text.encode()))
        assert caught.value.code == "not_audio"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_a_copy_that_broke_off_in_its_header_is_not_called_foreign(files, kind):
    for count in (12, 20, 40, 70, 120):
        try:
            audio = read_audio(io.BytesIO(files[kind][:count]))
        except InputError as error:
            assert error.code in {"bad_header", "no_audio", "corrupt", "not_audio"}, (count, error.message)  # noqa: PT017
        else:
            assert {flag.code for flag in audio.flags} & {"truncated", "decode_gap", "length_conflict"}, count


@pytest.mark.parametrize("count", [5, 40])
@pytest.mark.parametrize("kind", [("ac3", "ac3", 48_000), ("adts", "aac", 16_000)], ids=lambda kind: kind[0])
def test_what_the_decoder_makes_up_is_said_and_nothing_is_written(files, kind, count, capfd):
    damaged = flipped(files[kind], len(files[kind]) // 3, count)
    codes = {flag.code for flag in read_audio(io.BytesIO(damaged)).flags}
    assert codes & {"decode_gap", "truncated"}
    assert capfd.readouterr().err == ""
