# SPDX-License-Identifier: Apache-2.0
"""NIST SPHERE: a header of text that declares the number of samples; libsndfile counts what is there."""

from __future__ import annotations

import re

from auricle.audio.headers.layout import Layout
from auricle.audio.source import Source
from auricle.errors import InputError

_HEAD_BYTES = 1024
_FIELD = re.compile(rb"^(\w+) -i (\d+)\s*$", re.MULTILINE)


def inspect_nist(source: Source) -> Layout:
    """Read the number of samples that a NIST SPHERE header declares.

    Raises:
        InputError: ``bad_header`` where it is cut.
    """
    head = source.read_at(0, _HEAD_BYTES)
    if b"end_head" not in head:
        raise InputError("bad_header", f"a NIST SPHERE header cut after {len(head)} bytes; get the file again")
    fields = {name: int(value) for name, value in _FIELD.findall(head)}
    return Layout(frames=fields.get(b"sample_count"), exact_seek=True, codec_note="NIST SPHERE with its codec")
