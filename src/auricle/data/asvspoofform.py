# SPDX-License-Identifier: Apache-2.0
"""The form ``asvspoof``: protocols ``SPEAKER UTTERANCE - SYSTEM bonafide|spoof`` beside ``flac/``.

As in ASVspoof 2019 (logical access). The part of the data comes from the protocol's file name,
the group is the speaker, and the spoofing system is kept with the clip as ``extra["system"]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from auricle.data.building import Draft, ReadOptions
from auricle.data.labels import SPLIT_ALIASES
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import Found, resolve_listed
from auricle.data.tables import MAX_LINE_CHARS
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS

PROTOCOL_FOLDER = "protocols"
AUDIO_FOLDER = "flac"
LABELS = ("bonafide", "spoof")
_ENDINGS = (".flac", ".wav")


def protocols_in(folder: Path) -> list[Path]:
    """Return the protocol files of a data set, sorted."""
    place = folder / PROTOCOL_FOLDER
    return sorted(p for p in place.glob("*.txt") if not p.name.startswith(".")) if place.is_dir() else []


def looks_like_asvspoof(path: Path, options: ReadOptions) -> bool:
    """Recognise ``protocols/*.txt`` beside ``flac/``."""
    return (path / AUDIO_FOLDER).is_dir() and bool(protocols_in(path))


def _part_of(name: str) -> str | None:
    """Return the part of the data that a protocol's name states, if it states one."""
    parts = {SPLIT_ALIASES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_ALIASES}
    return parts.pop() if len(parts) == 1 else None


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as handle:
            number = 0
            while line := handle.readline(MAX_LINE_CHARS):
                number += 1
                if line.split():
                    yield number, line.split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read", [str(error)]) from error


def _find(draft: Draft, place: str, utterance: str, roots: tuple[str, ...]) -> Found | None:
    """Return where an utterance lies, whichever of the usual endings it has."""
    try:
        candidates = [resolve_listed(f"{AUDIO_FOLDER}/{utterance}{ending}", roots) for ending in _ENDINGS]
    except ValueError as error:
        draft.problems.add("path", f"{place}: {error}")
        return None
    return next((found for found in candidates if found.size_bytes is not None), candidates[0])


def _read_protocol(draft: Draft, path: Path, part: str | None, roots: tuple[str, ...]) -> None:
    for number, fields in _lines(path):
        place = f"{path.name} line {number}"
        if len(fields) != 5:
            text = f"{place}: {len(fields)} fields, expected 5: SPEAKER UTTERANCE - SYSTEM bonafide|spoof"
            draft.problems.add("fields", text)
            continue
        speaker, utterance, _, system, key = fields
        if key not in LABELS:
            draft.problems.add("key", f"{place}: key {key!r} is neither bonafide nor spoof")
            continue
        found = _find(draft, place, utterance, roots)
        if found is not None:
            clip = Clip(found.key, found.path, (key,), split=part, group=speaker, extra={"system": system})
            draft.add(place, clip, found)


def read_asvspoof_form(path: Path, options: ReadOptions) -> Manifest:
    """Read all protocols of a data set; raises ``DataError`` with all problems."""
    protocols = protocols_in(path)
    if not protocols:
        raise DataError(f"{path} holds no protocols", [f"expected {PROTOCOL_FOLDER}/*.txt beside {AUDIO_FOLDER}/"])
    draft = Draft(path, "asvspoof", options)
    parts = {p: _part_of(p.stem) for p in protocols}
    for protocol, part in parts.items():
        if part is None and len(protocols) > 1:
            text = f"{protocol.name}: the name states no part of the data; name it after train, dev or eval"
            draft.problems.add("name", text)
        _read_protocol(draft, protocol, part, (str(path.absolute()),))
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish()
