# SPDX-License-Identifier: Apache-2.0
"""Folder names that say what lies in a folder (a part, a fold, all audio) rather than what sounds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from auricle.data.labels import SPLIT_ALIASES

_PARTS = frozenset({*SPLIT_ALIASES, "trn", "tst", "trainset", "testset", "devset"})
_MEDIA = frozenset(
    (
        *("audio", "audios", "wav", "wavs", "wave", "flac", "mp3", "ogg", "clip", "clips", "recording", "recordings"),
        *("file", "files", "segment", "segments"),
    )
)
_PIECES = frozenset(
    (
        *("fold", "folds", "part", "parts", "partition", "split", "splits", "set", "sets", "subset"),
        *("chunk", "chunks", "batch", "batches", "shard", "shards", "cv"),
    )
)
_PLACES = frozenset(
    (
        *("sound", "sounds", "data", "dataset", "datasets", "database", "sample", "samples", "raw", "processed"),
        *("original", "originals", "augmented", "aug", "unlabeled", "unlabelled", "labeled", "labelled", "all"),
        *("session", "sessions", "speaker", "speakers", "spk", "actor", "actors", "subject", "subjects"),
        *("disk", "disc", "tape", "site", "sites", "station", "stations", "mono", "stereo", "khz", "hz"),
        *("curated", "public", "private", "release", "archive", "download", "downloads", "folder", "dir", "tmp"),
        *(
            "temp",
            "new",
            "old",
            "genres",
            "content",
            "contents",
            "export",
            "exports",
            "record",
            "records",
            "rec",
            "recs",
        ),
        *("ch", "chan", "channel", "channels", "mic", "mics", "microphone", "microphones", "device", "devices"),
        *("recorder", "recorders", "sensor", "sensors", "day", "days", "week", "weeks", "month", "months", "year"),
        *("location", "locations", "loc", "plot", "plots", "deployment", "deployments", "participant", "participants"),
        *("aufnahme", "aufnahmen", "neue", "alte", "ordner", "daten", "datei", "dateien", "enregistrement"),
        *("enregistrements", "dossier", "grabacion", "grabaciones", "carpeta", "registrazioni", "gravacoes"),
    )
)
#: Words of which a whole name may consist.
_CONTAINERS = _PARTS | _MEDIA | _PIECES | _PLACES
#: A word that ends a name like ``birds_train``, and one that begins a name like ``test-clean``.
_ENDS = _PARTS | _MEDIA | _PIECES - {"set", "sets", "batch"}
_BEGINS = _PARTS | frozenset({"fold", "wav", "wavs", "flac", "mp3", "ogg", "aufnahmen"})
_NUMBERED = re.compile(r"([A-Za-z]{1,2})[_-]?\d{2,}")
_RATE = re.compile(r"\d{1,3}(\d{3}([_ ]?hz)?|([.,]\d+)?[_ ]?khz|k)", re.IGNORECASE)  # 44100, 16k, 22.05 kHz
_LONG_NUMBER = re.compile(r"\d{2,}")  # 01, 02: speakers; 2024, 2025: years
_DATE = re.compile(r"(19|20)\d{2}[-_]?(0[1-9]|1[0-2])([-_]?[0-3]\d)?([-_T]?\d{4,6})?")


def container_names(names: Iterable[str]) -> list[str]:
    """Return those of some class folders' names that say what lies there, not what sounds.

    >>> container_names(["flac_T", "fold1", "FSD50K.dev_audio", "dog", "train_horn_far"])
    ['flac_T', 'fold1', 'FSD50K.dev_audio', 'train_horn_far']
    """
    names = list(names)
    found = [name for name in names if _says_container(name)]
    for pattern in (_NUMBERED, _DATE, _RATE, _LONG_NUMBER):  # p225, p226: speakers; 2026-05-01: days
        matches = [pattern.fullmatch(name) for name in names]
        if len(names) > 1 and all(matches) and (pattern is not _NUMBERED or len({m[1] for m in matches if m}) == 1):
            return names
    return found


def _says_container(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word for word in re.split(r"[^a-z0-9]+|\d+$|(?<=[a-z])\d+", spaced.casefold()) if word and len(word) > 1]
    words = [word for word in words if not word.isdigit()]
    if not words:
        return False
    return all(word in _CONTAINERS for word in words) or words[-1] in _ENDS or words[0] in _BEGINS
