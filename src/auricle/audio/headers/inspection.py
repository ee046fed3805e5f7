# SPDX-License-Identifier: Apache-2.0
"""Headers compared with their files, before any decoder sees them. One function per family, one table.

Each inspector returns a ``Layout``: which bytes to decode, behind which header, and flags for what the header hides.
"""

from __future__ import annotations

from collections.abc import Callable

from auricle.audio.headers.ac3 import inspect_ac3
from auricle.audio.headers.aiff import inspect_aiff, inspect_svx
from auricle.audio.headers.au import inspect_au
from auricle.audio.headers.avi import inspect_avi
from auricle.audio.headers.caf import inspect_caf
from auricle.audio.headers.flac import inspect_flac
from auricle.audio.headers.layout import Layout
from auricle.audio.headers.matroska import inspect_matroska
from auricle.audio.headers.mp4 import inspect_mp4
from auricle.audio.headers.mpeg import inspect_mp3
from auricle.audio.headers.nist import inspect_nist
from auricle.audio.headers.ogg import inspect_ogg
from auricle.audio.headers.rare import inspect_rare
from auricle.audio.headers.riff import inspect_wav
from auricle.audio.headers.sniff import Kind
from auricle.audio.headers.voc import inspect_voc
from auricle.audio.headers.wave64 import inspect_w64
from auricle.audio.source import Source


def inspect_header(source: Source, kind: Kind) -> Layout:
    """Return how to read a source whose content is ``kind``.

    Raises:
        InputError: with the code of what makes it unreadable.
    """
    inspector = _INSPECTORS.get(kind.name)
    return inspector(source, kind) if inspector else Layout(codec_note=kind.title)


_INSPECTORS: dict[str, Callable[[Source, Kind], Layout]] = {
    "wav": lambda source, kind: inspect_wav(source),
    "ogg": lambda source, kind: inspect_ogg(source),
    "mp3": inspect_mp3,
    "flac": lambda source, kind: inspect_flac(source),
    "aiff": lambda source, kind: inspect_aiff(source),
    "svx": lambda source, kind: inspect_svx(source),
    "w64": lambda source, kind: inspect_w64(source),
    "caf": lambda source, kind: inspect_caf(source),
    "au": lambda source, kind: inspect_au(source),
    "voc": lambda source, kind: inspect_voc(source),
    "nist": lambda source, kind: inspect_nist(source),
    "mp4": inspect_mp4,
    "avi": inspect_avi,
    "ac3": inspect_ac3,
    "matroska": inspect_matroska,
    **dict.fromkeys(("avr", "wve", "sds", "mat5"), inspect_rare),
}
