# SPDX-License-Identifier: Apache-2.0
"""What a teacher said, stored once: a folder of float16 arrays that are memory-mapped, with an index people can read.

    index.json            teacher, classes, windows, mixtures, map, how it was made, and the hash of every shard
    clips.csv             filename, seconds, first_window, windows; a failed recording has no windows and an error
    labels.csv            a row a recording: the format of soft labels that `train --soft` and other tools read
    shards/00000.scores.npy       float16 (window, class) in [0, 1]
    shards/00000.embedding.npy    float16 (window, dimension), where embeddings were asked for
    shards/00000.json             which items it holds, and the hashes: written last, so it says that the shard is whole

Items are the recordings in their order, then the mixtures by number. A shard is a function of its items alone, so a
run that was killed and continued leaves the same bytes as one that was not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from auricle.cells import escape_cell, unescape_cell
from auricle.data.manifest import Clip
from auricle.errors import DataError
from auricle.files import atomic_write, read_json, sha256_bytes, write_json
from auricle.results import FloatArray, rounded
from auricle.synth.mixtures import MixRules

FORMAT = 1
INDEX_FILE, CLIPS_FILE, LABELS_FILE = "index.json", "clips.csv", "labels.csv"
SHARDS = "shards"
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StoreIndex:
    """What ``index.json`` says.

    Attributes:
        teacher: name of the teacher, for people.
        identity: what its answers depend on, such as the hash of its weights.
        labels: its classes, in the order of the scores.
        window_s: length of a window in seconds.
        hop_s: step between windows in seconds.
        embedding_size: length of the embeddings; 0 if there are none.
        items: how many recordings, then mixtures.
        pool: how many of the recordings, at the end, are from the pool.
        pool_root: where the pool lay.
        mixtures: how the mixtures were made; None if there are none.
        parts: the part (fold) of each labelled recording, within which mixtures were made.
        map: the user's classes, each with the teacher's classes that mean it; None if those are the same.
        pad: what fills the last window of a recording, see ``timeline.pad_window``.
        stages: of the teacher whose statistics are the embeddings; none if these are its own.
        shards: file names to SHA-256.
    """

    teacher: str
    identity: str
    labels: tuple[str, ...]
    window_s: float
    hop_s: float
    embedding_size: int
    items: int
    pool: int = 0
    pool_root: str | None = None
    mixtures: MixRules | None = None
    parts: tuple[str, ...] = ()
    map: Mapping[str, tuple[str, ...]] | None = None
    pad: str = "zero"
    stages: tuple[int, ...] = ()
    shards: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``index.json``."""
        return {
            "format": FORMAT,
            "teacher": self.teacher,
            "identity": self.identity,
            "window_s": self.window_s,
            "hop_s": self.hop_s,
            "embedding_size": self.embedding_size,
            "items": self.items,
            "pool": self.pool,
            "pool_root": self.pool_root,
            "mixtures": None if self.mixtures is None else self.mixtures.to_dict(),
            "map": None if self.map is None else {k: list(v) for k, v in self.map.items()},
            **({} if self.pad == "zero" else {"pad": self.pad}),
            **({"stages": list(self.stages)} if self.stages else {}),
            "labels": list(self.labels),
            "parts": list(self.parts),
            "shards": dict(self.shards),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StoreIndex:
        """Return the index that ``to_dict`` wrote."""
        known = {k: v for k, v in values.items() if k != "format"}
        rules = known["mixtures"]
        known["mixtures"] = None if rules is None else MixRules.from_dict(rules)
        known["labels"], known["parts"] = tuple(known["labels"]), tuple(known["parts"])
        known["stages"] = tuple(known.get("stages", ()))
        known["map"] = None if known["map"] is None else {k: tuple(v) for k, v in known["map"].items()}
        return cls(**known)


@dataclass(frozen=True)
class Row:
    """A recording in ``clips.csv``: its key, and where its windows lie among all windows."""

    key: str
    seconds: float
    first_window: int
    windows: int
    error: str = ""


class SoftStore:
    """A folder that ``auricle teach`` wrote; opened by ``open_store``.

    Attributes:
        folder: where it lies.
        index: what ``index.json`` says.
        rows: the recordings in their order, those of the pool last.
    """

    def __init__(self, folder: Path, index: StoreIndex, rows: Sequence[Row]) -> None:
        self.folder, self.index, self.rows = folder, index, tuple(rows)

    @cached_property
    def scores(self) -> FloatArray:
        """All scores, ``(window, class)`` float16; one array in memory if there are several shards."""
        return self._join("scores")

    @cached_property
    def embeddings(self) -> FloatArray:
        """All embeddings, ``(window, dimension)`` float16; no columns if none were kept."""
        if self.index.embedding_size == 0:
            return np.zeros((len(self.scores), 0), np.float16)
        return self._join("embedding")

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The number of each recording by its key."""
        return {row.key: i for i, row in enumerate(self.rows)}

    @property
    def sha256(self) -> str:
        """Hash of the index, which holds those of all shards."""
        return sha256_bytes((self.folder / INDEX_FILE).read_bytes())

    @property
    def first_mixture_window(self) -> int:
        """Where the windows of mixture 0 begin; each mixture has as many as the next."""
        return sum(row.windows for row in self.rows)

    @property
    def windows_a_mixture(self) -> int:
        """How many windows each mixture has."""
        rules = self.index.mixtures
        return 0 if rules is None else (len(self.scores) - self.first_mixture_window) // rules.count

    def class_scores(self, scores: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
        """Return classes and scores as the map says: of each class the highest of the teacher's that mean it."""
        if self.index.map is None:
            return self.index.labels, np.asarray(scores, np.float32)
        place = {label: i for i, label in enumerate(self.index.labels)}
        columns = [scores[..., [place[name] for name in names]].max(-1) for names in self.index.map.values()]
        return tuple(self.index.map), np.stack(columns, axis=-1).astype(np.float32)

    def _join(self, what: str) -> FloatArray:
        names = sorted(name for name in self.index.shards if name.endswith(f".{what}.npy"))
        parts = [np.load(self.folder / SHARDS / name, mmap_mode="r", allow_pickle=False) for name in names]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def item_key(clip: Clip) -> str:
    """Return the name of a recording in a store: its key, with its times if it is a segment of a file."""
    if clip.onset is None and clip.offset is None:
        return clip.key
    return f"{clip.key}@{clip.segment[1]:.3f}-{'end' if clip.offset is None else f'{clip.offset:.3f}'}"


def is_store(path: Path) -> bool:
    """Tell whether ``path`` is a folder that ``auricle teach`` has finished."""
    return (path / INDEX_FILE).is_file() and (path / CLIPS_FILE).is_file()


def open_store(folder: Path) -> SoftStore:
    """Open a folder of soft labels and check every shard against its hash.

    Raises:
        DataError: it is unfinished, of a newer format, or damaged.
    """
    if not is_store(folder):
        raise DataError(
            f"{folder} holds no soft labels",
            [f"expected {INDEX_FILE} and {CLIPS_FILE}; finish `auricle teach ... --out {folder} --resume`"],
        )
    values = read_json(folder / INDEX_FILE)
    if values.get("format") != FORMAT:
        raise DataError(
            f"{folder} cannot be read", [f"its format is {values.get('format')!r}, this auricle reads {FORMAT}"]
        )
    index = StoreIndex.from_dict(values)
    damaged = [name for name, digest in index.shards.items() if _hash_of(folder / SHARDS / name) != digest]
    if damaged:
        text = f"{', '.join(damaged[:3])}: {len(damaged)} of {len(index.shards)} files differ from {INDEX_FILE}"
        raise DataError(f"{folder} is damaged", [f"{text}; delete them and run teach again with --resume"])
    with (folder / CLIPS_FILE).open(newline="", encoding="utf-8") as file:
        rows = [
            Row(
                unescape_cell(r["filename"]),
                float(r["seconds"]),
                int(r["first_window"]),
                int(r["windows"]),
                unescape_cell(r["error"]),
            )
            for r in csv.DictReader(file)
        ]
    return SoftStore(folder, index, rows)


def _hash_of(path: Path) -> str | None:
    return sha256_bytes(path.read_bytes()) if path.is_file() else None


@dataclass(frozen=True)
class Shard:
    """The answers for some items.

    Attributes:
        windows: of each item, how many.
        seconds: of each item.
        errors: of each item; empty where it was labelled.
        scores: ``(window, class)``.
        embedding: ``(window, dimension)``, or None.
    """

    windows: tuple[int, ...]
    seconds: tuple[float, ...]
    errors: tuple[str, ...]
    scores: FloatArray
    embedding: FloatArray | None


def write_shard(folder: Path, number: int, shard: Shard) -> dict[str, Any]:
    """Write a shard and return its facts; its ``.json`` comes last and makes it count."""
    place = folder / SHARDS
    place.mkdir(parents=True, exist_ok=True)
    arrays = {"scores": shard.scores, **({} if shard.embedding is None else {"embedding": shard.embedding})}
    hashes = {}
    for what, values in arrays.items():
        name = f"{number:05d}.{what}.npy"
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(values, np.float16), allow_pickle=False)
        atomic_write(place / name, buffer.getvalue())
        hashes[name] = sha256_bytes(buffer.getvalue())
    facts = {
        "windows": list(shard.windows),
        "seconds": list(shard.seconds),
        "errors": list(shard.errors),
        "sha256": hashes,
    }
    write_json(place / f"{number:05d}.json", facts)
    return facts


def read_shard_facts(folder: Path, number: int) -> dict[str, Any] | None:
    """Return what a whole shard's ``.json`` says; None if the shard is absent, or damaged, and has to be made."""
    path = folder / SHARDS / f"{number:05d}.json"
    if not path.is_file():
        return None
    facts: dict[str, Any] = read_json(path)
    whole = all(_hash_of(path.parent / name) == digest for name, digest in facts["sha256"].items())
    return facts if whole else None


def write_index(folder: Path, index: StoreIndex, keys: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> SoftStore:
    """Write ``clips.csv`` and then ``index.json``, which finishes a store.

    Args:
        folder: of the store.
        index: without the hashes of its shards.
        keys: of the recordings, without mixtures.
        facts: of each shard, as ``read_shard_facts`` returns them.
    """
    counts = [n for f in facts for n in f["windows"]][: len(keys)]
    seconds = [s for f in facts for s in f["seconds"]]
    errors = [e for f in facts for e in f["errors"]]
    rows, first = [], 0
    for key, count, length, error in zip(keys, counts, seconds, errors, strict=False):
        rows.append(Row(key, length, first, count, error))
        first += count
    cells = [[escape_cell(r.key), f"{r.seconds:.3f}", r.first_window, r.windows, escape_cell(r.error)] for r in rows]
    write_csv(folder / CLIPS_FILE, ("filename", "seconds", "first_window", "windows", "error"), cells)
    hashes = {name: digest for f in facts for name, digest in f["sha256"].items()}
    values = {**index.to_dict(), "shards": hashes}
    write_json(folder / INDEX_FILE, values)
    return open_store(folder)


def write_soft_csv(path: Path, keys: Sequence[str], labels: Sequence[str], values: FloatArray) -> None:
    """Write the seed's table: ``filename`` and one column a class."""
    cells = [[escape_cell(key), *(f"{rounded(v):g}" for v in row)] for key, row in zip(keys, values, strict=True)]
    write_csv(path, ("filename", *map(escape_cell, labels)), cells)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table atomically, with plain line ends."""

    def write(file: BinaryIO) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))

    atomic_write(path, write)
