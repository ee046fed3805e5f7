# SPDX-License-Identifier: Apache-2.0
"""Tags before and behind a recording. Taggers put them around any format; no decoder may take them for sound.

Before it: ID3v2 and APEv2. Behind it: ID3v1, its enhanced form, ID3v2 with a footer, APEv2, Lyrics3. There may be
several of them one after the other.
"""

from __future__ import annotations

from auricle.audio.source import Section, Source

_ID3_BYTES = 10
_APE_BYTES = 32
_APE_HAS_HEADER = 1 << 31
_ID3V1_BYTES, _ID3V1_MORE_BYTES = 128, 227
_LYRICS_1_MAX_BYTES = 5_100
_MAX_TAGS = 16
#: Zeros that may stand between a tag and the audio.
_MAX_PADDING_BYTES = 1 << 20


def untagged(source: Source) -> Source:
    """Return what lies between the tags of a source; the source itself where there are none."""
    start, stop = tags_before(source), source.size
    for _ in range(_MAX_TAGS):
        count = _bytes_before(source, start, stop)
        if not count:
            break
        stop -= count
    return source if (start, stop) == (0, source.size) else Section(source, start, stop)


def tags_before(source: Source) -> int:
    """Return where the tags at the beginning of a source end, and the zeros behind them; 0 without a tag."""
    start = 0
    for _ in range(_MAX_TAGS):
        count = leading_tag_bytes(source.read_at(start, _APE_BYTES))
        if not count:
            return start
        start = min(start + count, source.size)
        block = source.read_at(start, _MAX_PADDING_BYTES)
        rest = block.lstrip(b"\0")
        if rest:
            # MP4 begins with the high bytes of a length, which are zeros.
            start += max(0, len(block) - len(rest) - (3 if rest[1:5] == b"ftyp" else 0))
    return start


def leading_tag_bytes(head: bytes) -> int:
    """Return the length of the tag that ``head`` begins with, 0 if there is none."""
    if head[:3] == b"ID3" and len(head) >= _ID3_BYTES:
        has_footer = head[5] & 0x10
        return _ID3_BYTES + _base_128(head[6:10]) + (_ID3_BYTES if has_footer else 0)
    if head[:8] == b"APETAGEX" and len(head) >= _APE_BYTES:
        return _APE_BYTES + int.from_bytes(head[12:16], "little")
    return 0


def _bytes_before(source: Source, start: int, stop: int) -> int:
    """Return the length of the tag that ends at ``stop``, 0 if there is none."""
    tail = source.read_at(max(start, stop - _ID3V1_BYTES), min(_ID3V1_BYTES, stop - start))
    if _is_id3v1(tail):
        more = source.read_at(stop - _ID3V1_BYTES - _ID3V1_MORE_BYTES, 4) if stop - start > 400 else b""
        return _ID3V1_BYTES + (_ID3V1_MORE_BYTES if more == b"TAG+" else 0)
    count = 0
    if tail[-_APE_BYTES:][:8] == b"APETAGEX":
        size, flags = (int.from_bytes(tail[at : at + 4], "little") for at in (-20, -12))
        count = size + (_APE_BYTES if flags & _APE_HAS_HEADER else 0)
    elif tail[-_ID3_BYTES:][:3] == b"3DI":
        size = 2 * _ID3_BYTES + _base_128(tail[-4:])
        count = size if source.read_at(max(0, stop - size), 3) == b"ID3" else 0
    elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        count = 15 + int(tail[-15:-9])
    elif tail[-9:] == b"LYRICSEND":
        reach = min(_LYRICS_1_MAX_BYTES, stop - start)
        found = source.read_at(stop - reach, reach).rfind(b"LYRICSBEGIN")
        count = reach - found if found >= 0 else 0
    return count if count <= stop - start else 0


def _is_id3v1(tail: bytes) -> bool:
    """Tell an ID3v1 tag from samples: three letters, then fields of text, of which no byte is a control character."""
    return len(tail) == _ID3V1_BYTES and tail[:3] == b"TAG" and all(byte == 0 or byte >= 0x20 for byte in tail[3:125])


def _base_128(digits: bytes) -> int:
    """Return a number of 7-bit digits."""
    size = 0
    for digit in digits:
        size = size << 7 | digit & 0x7F
    return size
