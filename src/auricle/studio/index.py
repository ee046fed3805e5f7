# SPDX-License-Identifier: Apache-2.0
"""Vectors of all windows of a project's recordings: those that the last layers of a taught model take.

``vectors.f16`` holds a row of float16 for each window, in the order in which they were computed; which rows belong to
which recording stands in the project's file, so that a killed run resumes in the middle of a recording. The file is
read where it lies: memory does not grow with it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auricle.audio.decode import open_audio
from auricle.enrolment.backbone import Backbone
from auricle.enrolment.linear import Array
from auricle.errors import InputError
from auricle.results import FloatArray
from auricle.retrieval.search import BLOCK
from auricle.runtime.onnx_session import INPUT
from auricle.runtime.windows import WindowCutter
from auricle.studio.database import Database
from auricle.studio.recordings import Recording, RecordingStore
from auricle.timeline import seconds_to_samples

VECTORS = "vectors.f16"
#: A window, and seconds between two of them: a sound of up to a second lies whole in one of them.
WINDOW_S, HOP_S = 2.0, 1.0
#: Windows between two entries in the project's file.
_BATCH = 512
_FACT = "index"


@dataclass(frozen=True, eq=False)
class Windows:
    """All windows that have vectors now, in the order of their recordings.

    Attributes:
        rows: of ``vectors.f16``, ``(window,)``.
        recording: number of the recording of each.
        onset: seconds, ``(window,)``.
        offset: seconds, ``(window,)``; the last one of a recording ends with it.
        key: a number from 0 to 1 that is drawn once for each window and never changes: the order of random samples.
    """

    rows: npt.NDArray[np.int64]
    recording: npt.NDArray[np.int64]
    onset: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    key: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


class Index:
    """The vectors of a project.

    Args:
        folder: that holds ``vectors.f16``.
        database: of the project.
        recordings: of the project.
        backbone: the network up to its last layers.
    """

    def __init__(self, folder: Path, database: Database, recordings: RecordingStore, backbone: Backbone) -> None:
        self._path = folder / VECTORS
        self._database = database
        self._recordings = recordings
        self._backbone = backbone
        self.dimension = len(backbone.clip_vector(np.zeros(backbone.spec.min_samples, np.float32)))
        made_with = f"{backbone.sha256} {WINDOW_S:g} {HOP_S:g}"
        if database.fact(_FACT) != made_with:
            with database.transaction() as file:
                file.execute("DELETE FROM indexed")
            database.keep_fact(_FACT, made_with)
        self._path.touch()
        self._rows = int(database.value("SELECT coalesce(max(first + count), 0) FROM indexed"))
        os.truncate(self._path, self._rows * self._row_bytes)  # what was written and not entered is computed again
        self._kept: tuple[str, Windows] | None = None

    @property
    def _row_bytes(self) -> int:
        return 2 * self.dimension

    def missing(self) -> list[Recording]:
        """Return the recordings whose windows have no vectors yet, or not all."""
        done = {row[0] for row in self._database.rows("SELECT recording FROM indexed WHERE count = 0")}
        return [recording for recording in self._recordings.readable() if recording.id not in done]

    def progress_s(self) -> tuple[float, float]:
        """Return seconds of sound that have vectors, and of all."""
        counts = dict(tuple(row) for row in self._database.rows("SELECT recording, sum(count) FROM indexed GROUP BY 1"))
        whole = {row[0] for row in self._database.rows("SELECT recording FROM indexed WHERE count = 0")}
        done = total = 0.0
        for recording in self._recordings.readable():
            length = 0.0 if recording.duration is None else recording.duration
            total += length
            done += length if recording.id in whole else min(length, counts.get(recording.id, 0) * HOP_S)
        return done, total

    def extend(self, stopped: threading.Event, told: Callable[[], object] = lambda: None) -> None:
        """Compute what is missing, until all is there or ``stopped`` is set; recordings that fail are noted."""
        for recording in self.missing():
            if stopped.is_set():
                return
            try:
                self._embed(recording, stopped)
            except InputError as error:
                self._recordings.fail(recording.id, error)
            told()

    def _embed(self, recording: Recording, stopped: threading.Event) -> None:
        spec = self._backbone.spec
        rate = spec.sample_rate
        window, hop = seconds_to_samples(WINDOW_S, rate), seconds_to_samples(HOP_S, rate)
        begin = int(
            self._database.value("SELECT coalesce(sum(count), 0) FROM indexed WHERE recording = ?", (recording.id,))
        )
        slack = window // 8  # a rest as short as this belongs to the window before it
        cutter = WindowCutter(window, hop, spec.pad, slack)
        batch: list[FloatArray] = []
        number = begin
        with open_audio(recording.file, sample_rate=rate, offset_s=begin * HOP_S) as reader:
            for block in reader:
                batch += [self._vector(samples) for samples in cutter.push(block)]
                if len(batch) >= _BATCH:
                    self._enter(recording, number, batch)
                    number, batch = number + len(batch), []
                if stopped.is_set():
                    return
            covered = window - hop + slack if begin else 0  # by windows of an earlier run
            if cutter.samples_seen > covered:
                batch += [self._vector(samples) for samples in cutter.flush()]
            duration_s = begin * HOP_S + reader.duration
        self._recordings.found_duration(recording.id, duration_s)
        if batch:
            self._enter(recording, number, batch)
            number += len(batch)
        with self._database.transaction() as file:  # a row without windows says that this is all
            file.execute("INSERT OR REPLACE INTO indexed VALUES (?, ?, ?, 0)", (recording.id, self._rows, number))

    def _vector(self, samples: FloatArray) -> FloatArray:
        inputs = self._backbone.inputs
        return np.asarray(self._backbone.session.run([inputs.clip], {INPUT: samples[None]})[0][0])

    def _enter(self, recording: Recording, number: int, batch: list[FloatArray]) -> None:
        data = np.stack(batch).astype("<f2").tobytes()
        with self._path.open("r+b") as file:
            file.seek(self._rows * self._row_bytes)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with self._database.transaction() as entries:
            values = (recording.id, self._rows, number, len(batch))
            entries.execute("INSERT OR REPLACE INTO indexed VALUES (?, ?, ?, ?)", values)
        self._rows += len(batch)

    def windows(self) -> Windows:
        """Return the windows that have vectors now."""
        changed = str(
            tuple(self._database.rows("SELECT max(first + count), sum(first), sum(number), count(*) FROM indexed")[0])
            + tuple(self._database.rows("SELECT sum(id) FROM recordings WHERE missing OR error_code IS NOT NULL")[0])
        )
        if self._kept is not None and self._kept[0] == changed:
            return self._kept[1]
        entries = self._database.rows(
            "SELECT indexed.*, recordings.name AS file, recordings.duration FROM indexed "
            "JOIN recordings ON recordings.id = recording "
            "WHERE count > 0 AND NOT missing AND error_code IS NULL ORDER BY recordings.name, number"
        )
        rows, owner, onset, offset, key = ([np.zeros(0)] for _ in range(5))
        for entry in entries:
            numbers = entry["number"] + np.arange(entry["count"])
            rows.append(entry["first"] + np.arange(entry["count"]))
            owner.append(np.full(len(numbers), entry["recording"]))
            onset.append(numbers * HOP_S)
            length = np.inf if entry["duration"] is None else entry["duration"]
            offset.append(np.minimum(numbers * HOP_S + WINDOW_S, length))
            key.append(permanent_keys(entry["file"], numbers))
        found = Windows(
            np.concatenate(rows).astype(np.int64),
            np.concatenate(owner).astype(np.int64),
            np.concatenate(onset),
            np.concatenate(offset),
            np.concatenate(key),
        )
        self._kept = (changed, found)
        return found

    def vectors(self, windows: Windows, chosen: npt.NDArray[np.int64] | None = None) -> FloatArray:
        """Return vectors of some windows, ``(window, dimension)`` float32; of all where none are chosen."""
        table = self._table()
        rows = windows.rows if chosen is None else windows.rows[chosen]
        return np.asarray(table[rows], np.float32)

    def logits(self, windows: Windows, weight: Array, bias: Array) -> FloatArray:
        """Return ``vectors @ weight.T + bias``, ``(window, label)`` float32, block by block.

        Args:
            windows: of ``windows``.
            weight: ``(label, dimension)``.
            bias: ``(label,)``.
        """
        table, found = self._table(), np.empty((len(windows), len(bias)), np.float32)
        turned = np.ascontiguousarray(weight.T, np.float32)
        for begin in range(0, len(windows), BLOCK):
            block = np.asarray(table[windows.rows[begin : begin + BLOCK]], np.float32)
            found[begin : begin + BLOCK] = block @ turned + bias.astype(np.float32)
        return found

    def similarity(self, windows: Windows, wanted: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
        """Return the highest cosine of each window's scaled vector with some others, ``(window,)``.

        Args:
            windows: of ``windows``.
            wanted: scaled vectors, ``(example, dimension)``.
            mean: of the scale, ``(dimension,)``.
            deviation: of the scale, ``(dimension,)``.
        """
        unit = (wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-9)).astype(np.float32)
        table, found = self._table(), np.empty(len(windows), np.float32)
        for begin in range(0, len(windows), BLOCK):
            block = (np.asarray(table[windows.rows[begin : begin + BLOCK]], np.float32) - mean) / deviation
            lengths = np.maximum(np.sqrt(np.einsum("ij,ij->i", block, block)), 1e-9)
            found[begin : begin + BLOCK] = ((block @ unit.T) / lengths[:, None]).max(axis=1)
        return found

    def _table(self) -> npt.NDArray[np.float16]:
        if self._rows == 0:
            return np.zeros((0, self.dimension), np.float16)
        return np.memmap(self._path, "<f2", "r", shape=(self._rows, self.dimension))


def permanent_keys(name: bytes, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return a number from 0 to 1 for each window of a recording, a function of the name and the window's number.

    Random samples are the windows with the lowest of these ("permanent random numbers": Ohlsson 1995): whatever the
    strata are today, those that were drawn yesterday and are in a stratum today are drawn again, and count again.
    """
    seed = np.uint64(int.from_bytes(hashlib.sha256(name).digest()[:8], "little"))
    with np.errstate(over="ignore"):
        mixed = seed + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11), np.float64) / 2**53
