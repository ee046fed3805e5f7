# SPDX-License-Identifier: Apache-2.0
"""AVI: one or more RIFF chunks that hold all others; one that reaches beyond the file was cut."""

from __future__ import annotations

from auricle.audio.headers.chunks import RIFF
from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.results import Flag


def inspect_avi(source: Source, kind: Kind) -> Layout:
    """Walk the outermost chunks. A recorder that was interrupted leaves a size of 0."""
    for chunk in RIFF.walk(source, 0):
        if chunk.name != b"RIFF" or not chunk.size:
            break
        if chunk.stop > source.size:
            found = source.size - chunk.start
            flag = Flag("truncated", {"declared": chunk.size, "found": found, "unit": "bytes"})
            return Layout(flags=(flag,), codec_note=kind.title)
    return Layout(codec_note=kind.title)
