# SPDX-License-Identifier: Apache-2.0
"""FLAC: the total of samples is hidden from the decoder, so that all there is gets decoded; plain or in Ogg.

After ``fLaC`` and 4 bytes of block header come 10 bytes of block and frame sizes, then 20 bits of rate, 3 of
channels, 5 of depth and 36 of total samples in 8 bytes (RFC 9639, section 8.2). More blocks of metadata may follow.
"""

from __future__ import annotations

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

#: The signature and the block of stream information, whole.
HEAD_BYTES = 42
_TOTAL_STOP = 26
_UNKNOWN_TOTAL = 0
_MAX_TOTAL = (1 << 36) - 1
_LAST_BLOCK = 0x80
_MAX_BLOCKS = 1_000


def inspect_flac(source: Source) -> Layout:
    """Compare a FLAC header with its file.

    Raises:
        InputError: ``bad_header`` where it is cut or damaged.
    """
    head = source.read_at(0, _TOTAL_STOP)
    header, total = open_total(head)
    _check_blocks(source)
    flags = (Flag("length_conflict", {"declared": total}),) if total == _MAX_TOTAL else ()
    frames = None if total in {_UNKNOWN_TOTAL, _MAX_TOTAL} else total
    return Layout((Part(header, len(header)),), frames, flags, exact_seek=True)


def open_total(head: bytes) -> tuple[bytes, int]:
    """Return the beginning of a stream with its total of samples replaced by "unknown", and that total.

    Raises:
        InputError: ``bad_header`` where it is cut or damaged.
    """
    if len(head) < _TOTAL_STOP or head[4] & 0x7F != 0:
        raise InputError("bad_header", "a FLAC file without stream information; get the file again")
    fields = int.from_bytes(head[18:26], "big")
    rate, total = fields >> 44, fields & _MAX_TOTAL
    if rate == 0:
        raise InputError("bad_header", "the FLAC header says a sample rate of 0 Hz")
    return head[:18] + (fields ^ total).to_bytes(8, "big") + head[26:], total


def _check_blocks(source: Source) -> None:
    """Walk the blocks of metadata: a copy that broke off within them is cut, whatever the decoder calls it."""
    offset = 4
    for _ in range(_MAX_BLOCKS):
        head = source.read_at(offset, 4)
        stop = offset + 4 + int.from_bytes(head[1:4], "big")
        if len(head) < 4 or stop > source.size:
            raise InputError("bad_header", f"a FLAC file cut in its header, after {source.size} bytes; get it again")
        if head[0] & _LAST_BLOCK:
            return
        offset = stop
    raise InputError("bad_header", f"a FLAC file with more than {_MAX_BLOCKS} blocks of metadata; get it again")
