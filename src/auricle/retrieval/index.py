# SPDX-License-Identifier: Apache-2.0
"""A folder of vectors: as many as there is room for on disk, read without being loaded.

vectors.npy    float16, ``(window, dimension)``: `numpy.load(..., mmap_mode="r")` opens it
windows.csv    path, onset and offset in seconds of each row, in the same order
index.json     model and its hash, how recordings were cut, counts, and what could not be read; written last
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from auricle.errors import InputError, RunError, UsageError
from auricle.files import write_json
from auricle.output_folder import OutputFolder
from auricle.results import Failure, VectorsResult, rounded
from auricle.retrieval.windows import WindowRule, embed_windows
from auricle.runtime.detector import Detector
from auricle.runtime.spec import ONNX_FILES

VECTORS, WINDOWS, INDEX = "vectors.npy", "windows.csv", "index.json"
COLUMNS = ("path", "onset", "offset")
_HEADER_BYTES = 128


@dataclass(frozen=True)
class VectorFolder:
    """An index that is open.

    Attributes:
        path: the folder.
        vectors: ``(window, dimension)`` float16, on disk.
        model: name or folder of the model.
        network: SHA-256 of its network.
        rule: how recordings were cut.
    """

    path: Path
    vectors: npt.NDArray[np.float16]
    model: str
    network: str
    rule: WindowRule

    def windows(self, rows: Sequence[int]) -> list[tuple[str, float, float]]:
        """Return path, onset and offset of some rows, in their order."""
        wanted, found = set(rows), {}
        with (self.path / WINDOWS).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.reader(file)
            next(reader, None)
            for number, row in enumerate(reader):
                if number in wanted:
                    found[number] = (row[0], float(row[1]), float(row[2]))
        if len(found) != len(wanted):
            raise UsageError(f"{self.path / WINDOWS} has fewer rows than {VECTORS}; embed the archive again")
        return [found[row] for row in rows]


def write_vectors(
    folder: Path,
    detector: Detector,
    model: str,
    paths: Iterable[str],
    rule: WindowRule,
    progress: Callable[[int], object] = lambda done: None,
    *,
    overwrite: bool = False,
) -> VectorsResult:
    """Write the vectors of recordings; those that cannot be read are in the result.

    Args:
        folder: must be new or empty, or an index with ``overwrite``.
        detector: of the model.
        model: how the model was named.
        paths: of the recordings.
        rule: how they are cut.
        progress: is told how many recordings are done.
        overwrite: whether an index there is replaced.

    Raises:
        RunError: the folder holds something else.
    """
    place = OutputFolder(folder, holds="vectors", is_own=lambda name: name in (VECTORS, WINDOWS, INDEX))
    if overwrite:
        place.require_own(overwrite=True)
    else:
        place.require_new()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    dimension, failures, rows = detector.embedding_size, dict[str, Failure](), 0
    with (folder / VECTORS).open("wb") as vectors, _table(folder) as table:
        vectors.write(_header(0, dimension))
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        done = 0
        for done, path in enumerate(paths, 1):
            begin, place_in_table = rows, table.tell()
            try:
                for onset, offset, vector in embed_windows(detector, path, rule):
                    vectors.write(vector.astype("<f2").tobytes())
                    writer.writerow((path, rounded(onset), rounded(offset)))
                    rows += 1
            except InputError as error:  # what was written of it goes
                failures[path] = Failure(error.code, error.message)
                rows = begin
                vectors.seek(_HEADER_BYTES + 2 * dimension * rows)
                vectors.truncate()
                table.seek(place_in_table)
                table.truncate()
            progress(done)
        vectors.seek(0)
        vectors.write(_header(rows, dimension))
    recordings = done - len(failures)
    facts: dict[str, Any] = {
        "version": 1,
        "model": model,
        "network": detector.spec.sha256[ONNX_FILES["float32"]],
        "dimension": dimension,
        "windows": rows,
        "recordings": recordings,
        **asdict(rule),
        "failures": {name: failure.to_dict() for name, failure in failures.items()},
    }
    write_json(folder / INDEX, facts)
    return VectorsResult(str(folder), rows, recordings, dimension, rule.window_s, rule.hop_s, failures)


def _table(folder: Path) -> IO[str]:
    return (folder / WINDOWS).open("w+", newline="", encoding="utf-8", errors="surrogateescape")


def _header(rows: int, dimension: int) -> bytes:
    """Return the first 128 bytes of a NumPy file (format 1.0), whatever the number of rows."""
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}"
    return (
        b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + f"{text:<{_HEADER_BYTES - 11}}\n".encode()
    )


def open_vectors(folder: Path) -> VectorFolder:
    """Open a folder that ``write_vectors`` wrote.

    Raises:
        RunError: it is none, was not finished, or is damaged.
    """
    if not (folder / INDEX).is_file():
        raise RunError(
            f"{folder} holds no finished vectors (no {INDEX}); make them: auricle embed ARCHIVE --windows --out DIR"
        )
    try:
        facts = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        rule = WindowRule(float(facts["window_s"]), float(facts["hop_s"]))
        model, network, shape = str(facts["model"]), str(facts["network"]), (facts["windows"], facts["dimension"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder} is damaged ({error}); embed the archive again") from error
    if vectors.dtype != np.float16 or vectors.shape != shape:
        raise RunError(
            f"{folder / VECTORS} holds {vectors.dtype} of shape {vectors.shape}, {INDEX} says float16 of {shape}; "
            "embed the archive again"
        )
    return VectorFolder(folder, vectors, model, network, rule)
