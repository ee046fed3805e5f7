# SPDX-License-Identifier: Apache-2.0
"""The form ``asvspoof``: protocols in ``protocols/`` beside the recordings in ``flac/``, one recording a line.

2019        SPEAKER UTTERANCE - SYSTEM KEY
2021 LA     SPEAKER UTTERANCE CODEC TRANSMISSION SYSTEM KEY TRIM SUBSET
2021 DF     SPEAKER UTTERANCE CODEC SOURCE SYSTEM KEY TRIM SUBSET VOCODER - - - -
5           SPEAKER UTTERANCE GENDER CODEC QUALITY SEED TAG SYSTEM KEY -
5, keys     UTTERANCE KEY    under the header ``filename cm-label``

KEY is ``bonafide`` or ``spoof``. The part of the data comes from the protocol's file name, the group is the speaker,
and the spoofing system is kept with the clip as ``extra["system"]``, ``-`` for bona fide recordings.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from auricle.data.formats.draft import Draft, ReadOptions
from auricle.data.labels import SPLIT_ALIASES
from auricle.data.manifest import NO_SYSTEM, Clip, Manifest
from auricle.data.paths import Found, resolve_listed
from auricle.data.tables import read_fields
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.results import SPOOF_LABELS

PROTOCOL_FOLDER = "protocols"
AUDIO_FOLDER = "flac"
_SUFFIXES = (".txt", ".tsv")
_ENDINGS = (".flac", ".wav")
_KEY_HEADER = ["filename", "cm-label"]


@dataclass(frozen=True)
class Layout:
    """Where the fields of a protocol's line stand; None where it has no such field."""

    utterance: int
    key: int
    speaker: int | None = None
    system: int | None = None


#: By the number of fields a line.
LAYOUTS = {
    2: Layout(0, 1),
    5: Layout(1, 4, 0, 3),
    8: Layout(1, 5, 0, 4),
    10: Layout(1, 8, 0, 7),
    13: Layout(1, 5, 0, 4),
}


def protocols_in(folder: Path) -> list[Path]:
    """Return the protocol files of a data set, sorted."""
    place = folder / PROTOCOL_FOLDER
    if not place.is_dir():
        return []
    return sorted(p for p in place.iterdir() if p.suffix in _SUFFIXES and not p.name.startswith("."))


def looks_like_asvspoof(path: Path, options: ReadOptions) -> bool:
    """Recognise ``protocols/*.txt`` or ``*.tsv`` beside ``flac/``."""
    return (path / AUDIO_FOLDER).is_dir() and bool(protocols_in(path))


def _part_of(name: str) -> str | None:
    """Return the part of the data that a protocol's name states, if it states one."""
    parts = {SPLIT_ALIASES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_ALIASES}
    return parts.pop() if len(parts) == 1 else None


def _find(draft: Draft, place: str, utterance: str, roots: tuple[str, ...]) -> Found | None:
    """Return where an utterance lies, whichever of the usual endings it has."""
    try:
        candidates = [resolve_listed(f"{AUDIO_FOLDER}/{utterance}{ending}", roots) for ending in _ENDINGS]
    except ValueError as error:
        draft.problems.add("path", f"{place}: {error}")
        return None
    return next((found for found in candidates if found.size_bytes is not None), candidates[0])


def _read_protocol(draft: Draft, path: Path, part: str | None, roots: tuple[str, ...]) -> None:
    for number, fields in read_fields(path):
        place = f"{path.name} line {number}"
        if number == 1 and fields == _KEY_HEADER:
            continue
        layout = LAYOUTS.get(len(fields))
        if layout is None:
            text = f"{place}: {len(fields)} fields, expected 5: SPEAKER UTTERANCE - SYSTEM bonafide|spoof"
            draft.problems.add("fields", f"{text} (or 8, 10, 13 as in ASVspoof 2021 and 5)")
            continue
        key = fields[layout.key]
        if key not in SPOOF_LABELS:
            draft.problems.add("key", f"{place}: key {key!r} is neither bonafide nor spoof")
            continue
        found = _find(draft, place, fields[layout.utterance], roots)
        if found is not None:
            speaker = None if layout.speaker is None else fields[layout.speaker]
            clip = Clip(found.key, found.path, (key,), split=part, group=speaker, extra=_extra(layout, fields, key))
            draft.add(place, clip, found)


def _extra(layout: Layout, fields: list[str], key: str) -> dict[str, str]:
    """Return the spoofing system, where the protocol names it; later protocols call that of people ``bonafide``."""
    if key == SPOOF_LABELS[0]:
        return {"system": NO_SYSTEM}
    return {} if layout.system is None else {"system": fields[layout.system]}


def read_asvspoof_form(path: Path, options: ReadOptions) -> Manifest:
    """Read all protocols of a data set; raises ``DataError`` with all problems."""
    protocols = protocols_in(path)
    if not protocols:
        raise DataError(
            f"{path} holds no protocols", [f"expected {PROTOCOL_FOLDER}/*.txt or *.tsv beside {AUDIO_FOLDER}/"]
        )
    root = os.path.abspath(path)  # noqa: PTH100 (Path.absolute keeps "..")
    draft = Draft(path, "asvspoof", options)
    parts = {p: _part_of(p.stem) for p in protocols}
    for protocol, part in parts.items():
        if part is None and len(protocols) > 1:
            text = f"{protocol.name}: the name states no part of the data; name it after train, dev or eval"
            draft.problems.add("name", text)
        _read_protocol(draft, protocol, part, (root,))
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish()
