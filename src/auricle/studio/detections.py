# SPDX-License-Identifier: Apache-2.0
"""Events that a model found in the folder: run in the background, reviewed, and a threshold chosen by the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auricle.errors import InputError, Interrupted
from auricle.results import FloatArray, rounded
from auricle.runtime.detector import Detector
from auricle.studio.database import Database
from auricle.studio.index import HOP_S, permanent_keys
from auricle.studio.jobs import Job
from auricle.studio.labels import Label
from auricle.studio.recordings import Recording, RecordingStore
from auricle.studio.selection import NO, UNSEEN, UNSURE, YES, Candidates, review_order
from auricle.studio.verdicts import verdicts_on

#: Events are kept from this part of the model's own threshold on, so that a lower one can be chosen.
LOWER = 0.5
NAMES = {UNSEEN: None, NO: "no", YES: "yes", UNSURE: "unsure"}
ORDERS = ("score", "stratified", "time")


def floors_of(detector: Detector) -> dict[str, float]:
    """Return from which score on events of each class are kept."""
    return {label: max(0.05, LOWER * detector.spec.thresholds.get(label, 0.5)) for label in detector.labels}


class DetectionStore:
    """The events of a project.

    Args:
        database: of the project.
        recordings: of the project.

    Attributes:
        version: changes whenever there are other events.
    """

    def __init__(self, database: Database, recordings: RecordingStore) -> None:
        self._database = database
        self._recordings = recordings
        self.version = 0

    def run(self, job: Job, detector: Detector, model: int | None, chosen: Sequence[Recording]) -> None:
        """Detect in some recordings; what was found in them before goes, one recording at a time.

        Args:
            job: that this is.
            detector: of the model.
            model: its number in the project; None for one that was not taught here.
            chosen: the recordings.
        """
        floors = floors_of(detector)

        def watch(_frames: FloatArray) -> None:
            if job.stopped.is_set():
                raise Interrupted("stopped")

        for recording in chosen:
            try:
                found = detector.detect(recording.file, threshold=floors, on_frames=watch)
            except InputError as error:
                self._recordings.fail(recording.id, error)
            except Interrupted:
                return
            else:
                with self._database.transaction() as file:
                    file.execute("DELETE FROM detections WHERE recording = ?", (recording.id,))
                    file.executemany(
                        "INSERT INTO detections VALUES (?, ?, ?, ?, ?, ?)",
                        [
                            (recording.id, rounded(e.onset), rounded(e.offset), e.label, rounded(e.score), model)
                            for e in found.events
                        ],
                    )
                self.version += 1
            job.done += 1

    def count(self, label: str | None = None) -> int:
        """Return how many there are, all or of a class."""
        where, values = ("WHERE label = ?", [label]) if label is not None else ("", [])
        return int(self._database.value(f"SELECT count(*) FROM detections {where}", values))

    def of(
        self, labels: Sequence[Label], label: str | None = None, recording: int | None = None
    ) -> list[dict[str, Any]]:
        """Return detections with their verdicts, by recording and time.

        Args:
            labels: of the project, whose verdicts count.
            label: a class; all if None.
            recording: number of a recording; all if None.
        """
        wanted = {"label": label, "recording": recording}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(["NOT missing", *(f"detections.{name} = ?" for name in given)])
        rows = self._database.rows(
            "SELECT recording, path, onset, offset, label, score, recordings.name AS file FROM detections "
            f"JOIN recordings ON recordings.id = recording WHERE {where} ORDER BY recordings.name, onset, label",
            list(given.values()),
        )
        found = [{key: row[key] for key in ("recording", "path", "onset", "offset", "label", "score")} for row in rows]
        for name in {item["label"] for item in found}:
            own = [i for i, item in enumerate(found) if item["label"] == name]
            owner, onset, offset = (np.array([found[i][key] for i in own]) for key in ("recording", "onset", "offset"))
            verdict, said_by = verdicts_on(owner, onset, offset, [x for x in labels if x.label == name])
            for i, code, number in zip(own, verdict.tolist(), said_by.tolist(), strict=True):
                found[i] |= {"verdict": NAMES[code], "label_id": number or None}
        return found

    def candidates(self, found: Sequence[Mapping[str, Any]], trained: set[int]) -> Candidates:
        """Return the detections of one class for ``selection``.

        Args:
            found: of ``of``.
            trained: numbers of labels that the model was taught on: what they say of it says nothing of others.
        """
        codes = {name: code for code, name in NAMES.items()}
        verdict = [
            UNSURE if item["label_id"] in trained else codes[item["verdict"]] for item in found
        ]  # neither asked about again nor counted
        middles = [(item["onset"] + item["offset"]) / 2 for item in found]
        keys = [
            float(permanent_keys(item["path"].encode("utf-8", "backslashreplace"), np.array([int(m // HOP_S)]))[0])
            for item, m in zip(found, middles, strict=True)
        ]
        columns = {key: np.array([item[key] for item in found], np.float64) for key in ("score", "onset", "offset")}
        return Candidates(
            verdict=np.array(verdict, np.int64),
            key=np.array(keys, np.float64),
            recording=np.array([item["recording"] for item in found], np.int64),
            **columns,
        )


def ordered(found: list[dict[str, Any]], order: str, candidates: Candidates) -> list[dict[str, Any]]:
    """Return detections by ``score``, ``time`` or as strata of scores draw them (``stratified``)."""
    if order == "score":
        return sorted(found, key=lambda item: -item["score"])
    if order == "stratified":
        return [found[i] for i in review_order(candidates)]
    return found
