# SPDX-License-Identifier: Apache-2.0
"""Frames of MPEG audio, layers I to III: how long each is by its header, and where runs of them lie in a file.

A header is 11 bits of ones, then version, layer, (in the next byte) bit rate, sample rate and padding, then (in the
first two bits of the fourth) the channel mode. Frames follow one another without a gap; whatever else lies between
two of them is a tag, junk, or damage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from auricle.audio.headers.tags import leading_tag_bytes
from auricle.audio.source import Source

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBPS_1_1 = tuple(range(0, 449, 32))
_KBPS_1_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_KBPS_1_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2_1 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
LAYER_1, LAYER_2, LAYER_3 = 3, 2, 1
_KBPS = {
    (True, LAYER_1): _KBPS_1_1,
    (True, LAYER_2): _KBPS_1_2,
    (True, LAYER_3): _KBPS_1_3,
    (False, LAYER_1): _KBPS_2_1,
    (False, LAYER_2): _KBPS_2,
    (False, LAYER_3): _KBPS_2,
}
#: Samples of a frame by layer, where every version has as many.
SAMPLES = {LAYER_1: 384, LAYER_2: 1_152}
_TITLES = frozenset({b"Xing", b"Info"})
_MONO = 3
_HEAD_BYTES = 4
#: Longest frame: layer II at 384 kbit/s and 32 kHz takes 1,728 bytes; the tag in a first frame lies within 44.
_LOOK_BYTES = 2_048
_READ_BYTES = 1 << 20
_FEWEST_OF_ANOTHER = 4
_TAG_HEAD_BYTES = 32
#: To look for a frame takes time: junk, tags not counted, beyond this much ends a file.
_MAX_JUNK_BYTES = 4 << 20


def is_mpeg_frame(head: bytes) -> bool:
    """Tell whether bytes begin with a valid header of an MPEG audio frame, layer I to III."""
    if len(head) < _HEAD_BYTES or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bitrate != 15 and rate != 3


@cache
def _length(second: int, third: int) -> int:
    """Return the bytes of a frame from the second and third byte of its header; 0 if they do not say it."""
    if not is_mpeg_frame(bytes((0xFF, second, third, 0))):
        return 0
    version, layer, padding = second >> 3 & 3, second >> 1 & 3, third >> 1 & 1
    kbps, rate = _KBPS[version == 3, layer][third >> 4], _RATES[version][third >> 2 & 3]
    if not kbps:
        return 0
    if layer == LAYER_1:
        return (12_000 * kbps // rate + padding) * 4
    return (72_000 if layer == LAYER_3 and version != 3 else 144_000) * kbps // rate + padding


def frame_bytes(head: bytes) -> int:
    """Return how many bytes the frame with this header takes; 0 if it is not valid or of free format."""
    return _length(head[1], head[2]) if is_mpeg_frame(head) else 0


def sample_rate(head: bytes) -> int:
    """Return the sample rate of a frame in Hz."""
    return _RATES[head[1] >> 3 & 3][head[2] >> 2 & 3]


def kbps(head: bytes, index: int) -> int:
    """Return the bit rate of number ``index`` in frames like this one."""
    return _KBPS[head[1] >> 3 & 3 == 3, head[1] >> 1 & 3][index]


def stream_key(head: bytes) -> tuple[int, int, bool]:
    """Return what the frames of a stream have in common: version and layer, sample rate, mono or not."""
    return head[1] & 0x1E, head[2] & 0x0C, head[3] >> 6 == _MONO


def find_frame(data: bytes, start: int = 0, *, at_end: bool = True) -> int:
    """Return where the first frame begins that another one of its stream, or the end of the file, follows; else -1.

    Args:
        data: to search.
        start: where to begin.
        at_end: ``data`` reaches to the end of the file.
    """
    for found in _headers().finditer(data, start):
        at = found.start()
        head = data[at : at + _HEAD_BYTES]
        length = frame_bytes(head)
        after = data[at + length : at + length + _HEAD_BYTES]
        if (frame_bytes(after) and stream_key(after) == stream_key(head)) or (at_end and at + length == len(data)):
            return at
    return -1


@cache
def _headers() -> re.Pattern[bytes]:
    """Return what finds the headers of frames that say their length; they may begin within one another."""
    seconds = bytes(byte for byte in range(0xE0, 0x100) if any(_length(byte, third) for third in range(256)))
    thirds = bytes(byte for byte in range(256) if _length(0xFB, byte))
    return re.compile(b"\xff(?=[" + re.escape(seconds) + b"][" + re.escape(thirds) + b"].)", re.DOTALL)


@dataclass
class Run:
    """Frames that follow one another.

    Attributes:
        start: of the first frame.
        stop: behind the last frame.
        key: of the stream.
        titles: where frames begin that hold a ``Xing`` or ``Info`` tag: each opens a file.
        frames: how many.
    """

    start: int
    stop: int
    key: tuple[int, int, bool]
    titles: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 0


def runs(source: Source, start: int) -> list[Run]:
    """Return the runs of frames from ``start`` on, up to where too much junk is.

    Few frames of another stream are junk that looks like them.
    """
    found: list[Run] = []
    position, junk = start, 0
    while position < source.size and junk <= _MAX_JUNK_BYTES:
        data = source.read_at(position, _READ_BYTES)
        at_end = position + len(data) >= source.size
        reach = len(data) if at_end else len(data) - _LOOK_BYTES
        at = 0
        while at < reach:
            at = _follow(found, data, position, at, reach)
            at += leading_tag_bytes(data[at : at + _TAG_HEAD_BYTES])
            following = find_frame(data, at, at_end=at_end) if at < reach else -1
            if not 0 <= following < reach:
                junk += max(0, reach - at)
                at = max(at, reach)
                break
            junk += following - at
            found.append(Run(position + following, position + following, stream_key(data[following : following + 4])))
            at = following
        position += at
    main = max(found, key=lambda run: run.frames).key if found else None
    return [run for run in found if run.key == main or run.frames >= _FEWEST_OF_ANOTHER]


def _follow(found: list[Run], data: bytes, base: int, at: int, reach: int) -> int:
    """Go from frame to frame of the last run while they follow one another; returns where that ends."""
    if not found or found[-1].stop != base + at:
        return at
    run = found[-1]
    tag_at = _HEAD_BYTES + side_info_bytes(data[at : at + _HEAD_BYTES])
    while at < reach:
        if data[at] != 0xFF:
            break
        head = data[at : at + _HEAD_BYTES]
        length = frame_bytes(head)
        if not length or stream_key(head) != run.key or at + length > len(data):
            break
        if data[at + tag_at : at + tag_at + 4] in _TITLES and is_title(data[at : at + tag_at + 4]):
            run.titles.append((base + at, run.frames))
        at += length
        run.frames += 1
        run.stop = base + at
    return at


def is_title(frame: bytes) -> bool:
    """Tell whether a frame holds a ``Xing`` or ``Info`` tag: behind side information of zeros, or it is a sound."""
    tag_at = _HEAD_BYTES + side_info_bytes(frame)
    return frame[tag_at : tag_at + 4] in _TITLES and not any(frame[_HEAD_BYTES + 2 : tag_at])


def side_info_bytes(head: bytes) -> int:
    """Return the length of a frame's side information, which the Xing tag follows (ISO 11172-3, 13818-3)."""
    mono = head[3] >> 6 == _MONO
    if head[1] >> 3 & 3 == 3:
        return 17 if mono else 32
    return 9 if mono else 17
