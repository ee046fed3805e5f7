# SPDX-License-Identifier: Apache-2.0
"""Events that a model found in the folder: run in the background, reviewed, and a threshold chosen by the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auricle.errors import InputError, Interrupted
from auricle.results import Event, FloatArray, rounded
from auricle.runtime.detector import Detector
from auricle.studio.database import Database
from auricle.studio.held_out import HeldOut
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

    def run(
        self,
        job: Job,
        detector: Detector,
        model: int | None,
        chosen: Sequence[Recording],
        held_out: HeldOut | None = None,
    ) -> None:
        """Detect in some recordings; what was found in them before goes, one recording at a time.

        Args:
            job: that this is.
            detector: of the model.
            model: its number in the project; None for one that was not taught here.
            chosen: the recordings.
            held_out: detects near what was taught; None for a model that was not taught here.
        """
        floors = floors_of(detector)

        def watch(_frames: FloatArray) -> None:
            if job.stopped.is_set():
                raise Interrupted("stopped")

        for recording in chosen:
            try:
                own = detector.detect(recording.file, threshold=floors, on_frames=watch).events
                others = [] if held_out is None else held_out.detect(recording, floors, watch)
            except InputError as error:
                self._recordings.fail(recording.id, error)
            except Interrupted:
                return
            else:
                taught = [held_out is not None and held_out.knows(recording.id, event) for event in own]
                rows = [(e, "shown" if near else "both") for e, near in zip(own, taught, strict=True)]
                self._replace(recording.id, model, [*rows, *((e, "measured") for e in others)])
            job.done += 1

    def _replace(self, recording: int, model: int | None, found: Sequence[tuple[Event, str]]) -> None:
        with self._database.transaction() as file:
            file.execute("DELETE FROM detections WHERE recording = ?", (recording,))
            file.executemany(
                "INSERT INTO detections VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (recording, rounded(e.onset), rounded(e.offset), e.label, rounded(e.score), model, use)
                    for e, use in found
                ],
            )
        self.version += 1

    def count(self, label: str | None = None) -> int:
        """Return how many the model found, all or of a class."""
        where, values = ("AND label = ?", [label]) if label is not None else ("", [])
        return int(self._database.value(f"SELECT count(*) FROM detections WHERE use != 'measured' {where}", values))

    def stale(self, model: int | None, label: str | None = None) -> int:
        """Return how many are of another model than the one of this number, all or of a class."""
        where, values = ("AND label = ?", [label]) if label is not None else ("", [])
        query = f"SELECT count(*) FROM detections WHERE use != 'measured' AND model IS NOT ? {where}"
        return int(self._database.value(query, [model, *values]))

    def of(
        self,
        labels: Sequence[Label],
        label: str | None = None,
        recording: int | None = None,
        *,
        measured: bool = False,
    ) -> list[dict[str, Any]]:
        """Return detections with their verdicts, by recording and time.

        Args:
            labels: of the project, whose verdicts count.
            label: a class; all if None.
            recording: number of a recording; all if None.
            measured: those by which precision is measured, near what was taught of fits that did not see it; in place
                of those that the model itself found.
        """
        wanted = {"label": label, "recording": recording}
        given = {name: value for name, value in wanted.items() if value is not None}
        hidden = "shown" if measured else "measured"
        where = " AND ".join(["NOT missing", f"use != '{hidden}'", *(f"detections.{name} = ?" for name in given)])
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

    def candidates(self, found: Sequence[Mapping[str, Any]]) -> Candidates:
        """Return detections of ``of`` for ``selection``."""
        codes = {name: code for code, name in NAMES.items()}
        verdict = [codes[item["verdict"]] for item in found]
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
