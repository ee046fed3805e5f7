# SPDX-License-Identifier: Apache-2.0
"""The format ``asvspoof``: protocols, one recording a line, as the data sets of the ASVspoof challenges are unpacked.

2019        SPEAKER UTTERANCE - SYSTEM KEY
2021 LA     SPEAKER UTTERANCE CODEC TRANSMISSION SYSTEM KEY TRIM SUBSET
2021 PA     SPEAKER UTTERANCE ROOM MICROPHONE DISTANCE ROOM MICROPHONE SPEAKER DISTANCE KEY TRIM SUBSET
2021 DF     SPEAKER UTTERANCE CODEC SOURCE SYSTEM KEY TRIM SUBSET VOCODER - - - -
5           SPEAKER UTTERANCE GENDER CODEC QUALITY SEED TAG SYSTEM KEY -
5, keys     UTTERANCE KEY    under the header ``filename cm-label``

KEY is ``bonafide`` or ``spoof``. The part of the data comes from the protocol's file name, the group is the speaker,
and the spoofing system is kept with the clip as ``extra["system"]``, ``-`` for bona fide recordings. Five fields with
``variant`` as the third (``auricle data variants``) are of a changed recording: ``extra["variant"]``.

Protocols lie in ``protocols/``, in ``ASVspoof2019_LA_cm_protocols/``, in ``keys/LA/CM/``, or beside the recordings;
these lie in ``flac/`` or in any folder below. Lists of the other tracks (speaker verification, enrolment) are none.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from auricle.data.formats.draft import Draft
from auricle.data.formats.finder import FileIndex
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.labels import named_part
from auricle.data.manifest import NO_SYSTEM, VARIANT, Clip, Manifest
from auricle.data.paths import Found, regular_size, resolve_listed
from auricle.data.read_options import ReadOptions
from auricle.data.tables import read_fields
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import SPOOF_LABELS

PROTOCOL_FOLDER = "protocols"
AUDIO_FOLDER = "flac"
_SUFFIXES = (".txt", ".tsv")
_ENDINGS = (".flac", ".wav")
_KEY_HEADER = ["filename", "cm-label"]
_KEYS_2021 = "trial_metadata.txt"
#: Folders of protocols: ``ASVspoof2019_LA_cm_protocols``, ``ASVspoof5_protocols``, ``CM_protocol``.
_PROTOCOLS = re.compile(r"^(?!.*_asv_).*protocols?$", re.IGNORECASE)
#: Names of lists for speaker verification, enrolment and the second track.
_OTHER_TRACKS = re.compile(r"(^|[._])(asv|track_2|enroll?|progress)([._]|$)", re.IGNORECASE)


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
    12: Layout(1, 9, 0),
    13: Layout(1, 5, 0, 4),
}


def protocols_in(folder: Path) -> list[Path]:
    """Return the protocol files of a data set, sorted: those of ``protocols/``, else those of the official places."""
    own = _protocols_of(folder / PROTOCOL_FOLDER)
    if own or not folder.is_dir():
        return own
    places = [p for p in sorted(folder.iterdir()) if p.is_dir() and _PROTOCOLS.search(p.name)]
    official = [p for place in places for p in _protocols_of(place) if _is_protocol(p)]
    official += [p for p in _protocols_of(folder) if p.name.startswith("ASVspoof") and _is_protocol(p)]
    # keys/LA/CM/trial_metadata.txt of 2021, or what the folders around it are called
    places_of_keys = ("", "*/", "*keys*/*/", "*keys*/*/*/")
    keys = {p for place in places_of_keys for p in folder.glob(f"{place}CM/{_KEYS_2021}")}
    return official + sorted(p for p in keys if _is_protocol(p))


def _protocols_of(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(p for p in place.iterdir() if p.suffix in _SUFFIXES and not p.name.startswith("."))


def _is_protocol(path: Path) -> bool:
    """Tell whether a file is a protocol of spoofing detection: by its name, and by its first line with a key."""
    if _OTHER_TRACKS.search(path.name) or not path.is_file():
        return False
    try:
        first = next((fields for _, fields in read_fields(path) if fields != _KEY_HEADER), [])
    except DataError:
        return False
    layout = LAYOUTS.get(len(first))
    return layout is not None and first[layout.key] in SPOOF_LABELS


def looks_like_asvspoof(path: Path, options: ReadOptions) -> bool:
    """Recognise ``protocols/*.txt`` or ``*.tsv`` beside ``flac/``, or the protocols of a challenge in their places."""
    protocols = protocols_in(path)
    return bool(protocols) and (protocols[0].parent.name != PROTOCOL_FOLDER or (path / AUDIO_FOLDER).is_dir())


class _Recordings:
    """The recordings of a data set: in ``flac/``, else anywhere below its folder, by name."""

    def __init__(self, root: str) -> None:
        self._root, self._index = root, FileIndex(root)

    def find(self, utterance: str) -> Found:
        """Return where an utterance lies, whichever of the usual endings it has; raises ``ValueError``."""
        candidates = [resolve_listed(f"{AUDIO_FOLDER}/{utterance}{ending}", (self._root,)) for ending in _ENDINGS]
        here = next((found for found in candidates if found.size_bytes is not None), None)
        if here is not None:
            return here
        elsewhere = self._index.named(utterance, _ENDINGS)
        if len(elsewhere) > 1:
            raise ValueError(f"utterance {utterance!r} fits {len(elsewhere)} files ({shorten(elsewhere)}); keep one")
        if not elsewhere:
            return candidates[0]
        path = os.path.join(self._root, elsewhere[0])  # noqa: PTH118
        return Found(path, elsewhere[0], regular_size(path))


def _find(draft: Draft, place: str, utterance: str, recordings: _Recordings) -> Found | None:
    """Return where an utterance lies; notes the problem and returns None if it cannot be meant."""
    try:
        return recordings.find(utterance)
    except ValueError as error:
        draft.problems.add("path", f"{place}: {error}")
        return None


def _read_protocol(draft: Draft, path: Path, part: str | None, recordings: _Recordings) -> None:
    for number, fields in read_fields(path):
        place = f"{path.name} line {number}"
        if number == 1 and fields == _KEY_HEADER:
            continue
        layout = LAYOUTS.get(len(fields))
        if layout is None:
            text = f"{place}: {len(fields)} fields, expected 5: SPEAKER UTTERANCE - SYSTEM bonafide|spoof"
            draft.problems.add("fields", f"{text} (or 8, 10, 12, 13 as in ASVspoof 2021 and 5)")
            continue
        key = fields[layout.key]
        if key not in SPOOF_LABELS:
            draft.problems.add("key", f"{place}: key {key!r} is neither bonafide nor spoof")
            continue
        found = _find(draft, place, fields[layout.utterance], recordings)
        if found is not None:
            speaker = None if layout.speaker is None else fields[layout.speaker]
            clip = Clip(found.key, found.path, (key,), split=part, group=speaker, extra=_extra(layout, fields, key))
            draft.add(place, clip, found)


def _extra(layout: Layout, fields: list[str], key: str) -> dict[str, str]:
    """Return the spoofing system, where the protocol names it (later ones call people's ``bonafide``), and variants."""
    changed = {VARIANT: "yes"} if len(fields) == 5 and fields[2] == VARIANT else {}
    if key == SPOOF_LABELS[0]:
        return {"system": NO_SYSTEM, **changed}
    return changed if layout.system is None else {"system": fields[layout.system], **changed}


def _part(protocol: Path) -> str | None:
    """Return the part of the data that a protocol is; the keys of 2021 are all of its evaluation."""
    return "test" if protocol.name == _KEYS_2021 else named_part(protocol.stem)


def read_asvspoof(path: Path, options: ReadOptions) -> Manifest:
    """Read all protocols of a data set; raises ``DataError`` with all problems."""
    protocols = protocols_in(path)
    if not protocols:
        raise DataError(
            f"{path} holds no protocols", [f"expected {PROTOCOL_FOLDER}/*.txt or *.tsv beside {AUDIO_FOLDER}/"]
        )
    root = os.path.abspath(path)  # noqa: PTH100 (Path.absolute keeps "..")
    draft, recordings = Draft(path, "asvspoof", options), _Recordings(root)
    for protocol, part in {p: _part(p) for p in protocols}.items():
        if part is None and len(protocols) > 1:
            text = f"{protocol.name}: the name states no part of the data; name it after train, dev or eval"
            draft.problems.add("name", text)
        clips, missing = len(draft.clips), len(draft.missing)
        _read_protocol(draft, protocol, part, recordings)
        if protocol.name == _KEYS_2021 and len(draft.clips) == clips and len(protocols) > 1:
            # the keys of three tracks are one archive: those whose recordings lie elsewhere do not count
            del draft.missing[missing:]
            draft.notes.append(f"{protocol.relative_to(path)} is not read: none of its recordings is here")
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish()


FORMATS.add("asvspoof", Format(looks_like_asvspoof, read_asvspoof, order=20))
