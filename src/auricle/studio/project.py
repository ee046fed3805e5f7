# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings with its labels, vectors, models and detections: everything that `auricle studio` can do.

    with auricle.Studio("recordings/") as studio:
        studio.index()
        for onset in (3.2, 17.0, 40.5):
            studio.label("night.flac", onset, onset + 0.8, "owl")
        for item in studio.search("owl"):
            ...                                      # listen, then studio.label(..., verdict="yes" or "no")
        studio.teach()                               # a model folder, after seconds
        studio.queue("owl")                          # what to judge next

Nothing is written into the folder but ``.auricle-studio``, which holds the project's file and what was computed.
"""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from auricle.audio.cutouts import CutoutFormat, CutoutOptions, write_cutouts
from auricle.audio.decode import Audio, read_audio
from auricle.enrolment.backbone import open_backbone
from auricle.enrolment.bank import load_bank
from auricle.errors import BundleError, InputError, RunError, UsageError
from auricle.files import FolderLock, atomic_write
from auricle.registry import nearest
from auricle.results import Event, rounded
from auricle.runtime.bundle import add_files, load_bundle
from auricle.runtime.detector import load
from auricle.runtime.spec import ONNX_FILES
from auricle.studio.database import Database
from auricle.studio.detections import ORDERS, DetectionStore, ordered
from auricle.studio.exports import export_labels
from auricle.studio.index import Index, Windows
from auricle.studio.jobs import Job
from auricle.studio.labels import Label, LabelStore, check_name, now
from auricle.studio.recordings import Recording, RecordingStore
from auricle.studio.selection import (
    SUREST,
    UNSEEN,
    Candidates,
    precision_of,
    queue,
    threshold_for,
    verdicts_to_go,
)
from auricle.studio.sounds import SoundCache
from auricle.studio.teaching import HEADS, Heads, Teacher, TooFewError, load_heads, regions_of, save_heads
from auricle.studio.tiles import TileCache
from auricle.studio.verdicts import verdicts_on

#: Where a project keeps its things in the folder of recordings.
OWN_FOLDER = ".auricle-studio"
DATABASE = "project.sqlite"
#: Precision that is asked for where nobody says another one.
WANTED = 0.9
#: Windows are said to hold a class from this score on.
WINDOW_THRESHOLD = 0.5
_MOST_ASKED = 500
_OWN_THRESHOLDS = "thresholds of teaching"


class BusyError(UsageError):
    """Something of this kind is at work already."""

    code = "busy"


class UnknownItemError(UsageError):
    """There is no recording or label of this number or name."""

    code = "unknown_item"


class Studio:
    """An open project; ``with`` closes it. All methods may be called from several threads.

    Args:
        folder: of recordings.
        model: that detects while nothing was taught: a folder or the name of a built-in model.
        database: the project's file; ``FOLDER/.auricle-studio/project.sqlite`` if None. Where another one is named,
            everything else lies beside it in a folder of its name with ``-files``.
        out: folder of the taught model; ``model`` beside the project's file if None.
        by: who labels; the name of the user if None.

    Raises:
        RunError: the folder is none, holds no recording, is open in another studio, or cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        model: str = "general",
        database: str | os.PathLike[str] | None = None,
        out: str | os.PathLike[str] | None = None,
        by: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            what = "is a file" if self.folder.exists() else "does not exist"
            raise RunError(f"{self.folder} {what}; give a folder of recordings")
        path = self.folder / OWN_FOLDER / DATABASE if database is None else Path(database)
        self.own_folder = path.parent if database is None else path.with_name(f"{path.stem}-files")
        self.out = self.own_folder / "model" if out is None else Path(out)
        self.model = model
        with ExitStack() as stack:
            stack.enter_context(_locked(self.own_folder, self.folder))
            self._database = Database(path)
            stack.callback(self._database.close)
            self._recordings = RecordingStore(self._database, self.folder)
            self._recordings.refresh()
            self._labels = LabelStore(self._database, _user() if by is None else by)
            self._backbone = open_backbone()
            self._index = Index(self.own_folder, self._database, self._recordings, self._backbone)
            self._sounds = SoundCache(self.own_folder / "sounds")
            self._teacher = Teacher(self._backbone, self._sounds)
            self._detections = DetectionStore(self._database, self._recordings)
            self._tiles = TileCache(self.own_folder / "tiles")
            self._heads = self._stored_heads()
            self._stack = stack.pop_all()
        self._states: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._scores: tuple[Windows, Heads, np.ndarray[Any, Any]] | None = None
        self._teaching = threading.Lock()
        self._indexing: Job | None = None
        self._job: Job | None = None
        self._begin_lock = threading.Lock()

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what is at work and close the project; everything that was acknowledged is stored."""
        for job in (self._indexing, self._job):
            if job is not None:
                job.stop()
        self._stack.close()

    # --- recordings -------------------------------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        """The project's file."""
        return self._database.path

    @property
    def by(self) -> str:
        """Who labels."""
        return self._labels.by

    def recordings(self, offset: int = 0, limit: int | None = None) -> list[Recording]:
        """Return the readable recordings, in the order of their paths."""
        return self._recordings.readable()[offset : None if limit is None else offset + limit]

    def recording(self, which: int | str) -> Recording:
        """Return a recording by its number or its path below the folder.

        Raises:
            UnknownItemError: there is none.
            InputError: it is gone, or cannot be read.
        """
        row = self._recordings.find(which)
        if row is None:
            known = [r.path for r in self.recordings(0, _MOST_ASKED)] if isinstance(which, str) else []
            raise UnknownItemError(f"no recording {which}{nearest(str(which), known)}; the folder is {self.folder}")
        if row["missing"]:
            raise InputError("vanished", f"{row['path']} is not in the folder any more")
        if row["error_code"] is not None:
            raise InputError(row["error_code"], f"{row['path']}: {row['error_message']}")
        return self._recordings.made(row)

    def problems(self) -> list[dict[str, Any]]:
        """Return what cannot be used or has changed: ``path``, ``code`` and ``message`` of each recording."""
        return self._recordings.problems()

    def label_counts(self) -> dict[int, int]:
        """Return how many labels each recording has."""
        rows = self._database.rows("SELECT recording, count(*) FROM labels GROUP BY recording")
        return {row[0]: row[1] for row in rows}

    # --- labels -----------------------------------------------------------------------------------------------------

    def labels(self, label: str | None = None, verdict: str | None = None) -> list[Label]:
        """Return labels in the order in which they were given."""
        return self._labels.all(label, verdict)

    def labels_in(self, recording: int) -> list[Label]:
        """Return the labels of a recording."""
        return self._labels.all(recording=recording)

    def label(
        self,
        recording: int | str,
        onset: float,
        offset: float,
        label: str,
        verdict: str = "yes",
        *,
        source: str = "drawn",
        score: float | None = None,
        low_hz: float | None = None,
        high_hz: float | None = None,
        key: str | None = None,
    ) -> Label:
        """Store a verdict on a part of a recording; it is on the disk when this returns.

        Args:
            recording: its number, or its path below the folder.
            onset: seconds.
            offset: seconds.
            label: the class.
            verdict: ``yes``, ``no`` or ``unsure``.
            source: ``drawn``, ``search``, ``queue`` or ``review``.
            score: of the model or search, if there was one.
            low_hz: lower edge of a box.
            high_hz: upper edge of a box.
            key: of a request that may come twice; the second one changes nothing.
        """
        number = self.recording(recording).id
        return self._labels.add(Label(number, onset, offset, label, verdict, source, score, low_hz, high_hz), key)

    def change(self, number: int, **changes: Any) -> Label:
        """Change ``label``, ``onset``, ``offset`` or ``verdict`` of a label."""
        return self._known(lambda: self._labels.change(number, changes), number)

    def delete(self, number: int) -> Label:
        """Take a label away."""
        return self._known(lambda: self._labels.delete(number), number)

    def undo(self) -> dict[str, Any] | None:
        """Take back the last change, whoever made it; returns what was taken back, None if nothing is left."""
        return self._labels.undo()

    def _known(self, call: Callable[[], Label], number: int) -> Label:
        try:
            return call()
        except KeyError:
            raise UnknownItemError(f"no label {number}; it may have been taken away") from None

    # --- index ------------------------------------------------------------------------------------------------------

    def start_indexing(self) -> Job:
        """Compute the vectors that are missing, in the background."""
        with self._begin_lock:
            if self._indexing is None or not self._indexing.running:
                self._indexing = Job("index", 0, lambda job: self._index.extend(job.stopped))
            return self._indexing

    def index(self) -> None:
        """Compute the vectors that are missing, and wait for them."""
        self.start_indexing().wait()

    def search(self, label: str, count: int = 20) -> list[dict[str, Any]]:
        """Return the windows most like what was confirmed for a class, those without a verdict, the best first.

        Raises:
            TooFewError: nothing was confirmed for it yet.
        """
        examples = self._examples(label)
        if not examples:
            raise TooFewError(f"no example of {label} yet: draw one, or confirm one; five are better")
        windows = self._index.windows()
        scores = self._likeness(windows, examples)
        verdict, _ = verdicts_on(windows.recording, windows.onset, windows.offset, self.labels(label))
        order = [int(i) for i in np.argsort(-scores, kind="stable") if verdict[i] == UNSEEN]
        candidates = _candidates(windows, scores, verdict)
        taken: list[int] = []
        for one in order:
            if len(taken) == count:
                break
            if not candidates.overlap(one, taken):
                taken.append(one)
        return [self._window(windows, one, label, float(scores[one])) for one in taken]

    def _examples(self, label: str) -> list[Any]:
        known = {recording.id: recording for recording in self.recordings()}
        found = []
        for item in self.labels(label, "yes"):
            if item.recording in known:
                try:
                    found.append(self._teacher.example(known[item.recording], item.onset, item.offset))
                except InputError:
                    continue
        return found

    def _likeness(self, windows: Windows, examples: Sequence[Any]) -> Any:
        scale = load_bank(self._backbone.sha256).clip_scale
        wanted = np.asarray(scale.apply(np.stack([clip.views[0] for clip in examples])), np.float32)
        mean, deviation = (np.asarray(part, np.float32) for part in (scale.mean, scale.deviation))
        return self._index.similarity(windows, wanted, mean, deviation)

    def _window(self, windows: Windows, one: int, label: str, score: float) -> dict[str, Any]:
        number = int(windows.recording[one])
        return {
            "recording": number,
            "path": self._recordings.path_of(number),
            "onset": float(windows.onset[one]),
            "offset": float(windows.offset[one]),
            "label": label,
            "score": rounded(score),
        }

    # --- teaching ---------------------------------------------------------------------------------------------------

    def teach(self) -> dict[str, Any]:
        """Make a model of all verdicts; the folder ``out`` is a normal model at any time.

        Returns:
            ``model`` as in ``state``, ``seconds``, ``labels``, ``rows`` (figures of each class) and ``skipped``.

        Raises:
            TooFewError: nothing was confirmed yet.
        """
        with self._teaching:
            entry = self._labels.last_change()
            known = {recording.id: recording for recording in self.recordings()}
            taught = self._teacher.teach(self._labels.all(), known, self.out, self.folder.resolve().name)
            save_heads(self.own_folder / HEADS, taught.heads)
            with self._database.transaction() as file:
                file.execute(
                    "INSERT INTO models (at, by, path, sha256, labels, journal, seconds) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(now(), self.by, str(self.out), taught.heads.sha256),
                        *(json.dumps(taught.heads.labels, ensure_ascii=False), entry, round(taught.seconds, 3)),
                    ),
                )
                file.execute("UPDATE classes SET threshold = NULL")  # scores of another model are other scores
            own = [{key: row[key] for key in ("label", "threshold")} for row in taught.rows]
            self._database.keep_fact(_OWN_THRESHOLDS, json.dumps(own))
            self._heads = taught.heads
        skipped = [
            {"path": known[r.recording].path, "onset": r.onset, "offset": r.offset, **failure.to_dict()}
            for r, failure in taught.skipped.items()
        ]
        return {
            "model": self.model_state(),
            "seconds": round(taught.seconds, 3),
            "labels": list(taught.heads.labels),
            "rows": [_row(row) for row in taught.rows],
            "skipped": skipped,
        }

    def model_state(self) -> dict[str, Any] | None:
        """Return the taught model: name, path, labels, when, and seconds it took; None before the first."""
        row = self._model_row()
        if row is None or self._heads is None:
            return None
        return {
            "name": self.out.resolve().name,
            "path": str(self.out.resolve()),
            "labels": json.loads(row["labels"]),
            "trained_at": row["at"],
            "seconds": row["seconds"],
        }

    def _model_row(self) -> sqlite3.Row | None:
        rows = self._database.rows("SELECT * FROM models ORDER BY id DESC LIMIT 1")
        return rows[0] if rows else None

    def _stored_heads(self) -> Heads | None:
        """Return the layers of the model folder; None if it is gone or another model lies there now."""
        try:
            sha256 = load_bundle(self.out).spec.sha256[ONNX_FILES["float32"]]
        except BundleError:
            return None
        return load_heads(self.own_folder / HEADS, sha256, self._backbone.sha256)

    def _window_scores(self, label: str) -> tuple[Windows, Any] | None:
        """Return all windows with their scores for a class; None where the model does not know it."""
        heads, windows = self._heads, self._index.windows()
        if heads is None or label not in heads.labels:
            return None
        kept = self._scores
        if kept is None or kept[0] is not windows or kept[1] is not heads:
            kept = (windows, heads, heads.scores(self._index, windows))
            self._scores = kept
        return windows, kept[2][:, heads.labels.index(label)]

    def queue(self, label: str | None = None, count: int = 20) -> list[dict[str, Any]]:
        """Return what to judge next: windows without a verdict, with the reason why they are asked about.

        Args:
            label: the class; of all classes in turn if None.
            count: how many.
        """
        labels = self.classes() if label is None else [label]
        parts = [self._queue(name, -(-count // max(1, len(labels)))) for name in labels]
        mixed = [part[i] for i in range(count) for part in parts if i < len(part)]
        return mixed[:count]

    def _queue(self, label: str, count: int) -> list[dict[str, Any]]:
        found = self._window_scores(label)
        if found is None:
            if not self.labels(label, "yes"):
                return []
            return [{**item, "reason": SUREST} for item in self.search(label, count)]
        windows, scores = found
        candidates = self._window_candidates(label, windows, scores)
        chosen = queue(candidates, WINDOW_THRESHOLD, count)
        return [{**self._window(windows, one, label, float(scores[one])), "reason": why} for one, why in chosen]

    def _window_candidates(self, label: str, windows: Windows, scores: Any) -> Candidates:
        verdict, _ = verdicts_on(windows.recording, windows.onset, windows.offset, self.labels(label))
        return _candidates(windows, scores, verdict)

    # --- detection --------------------------------------------------------------------------------------------------

    def start_detection(self, recordings: Sequence[int] | None = None) -> Job:
        """Detect in the background, with the taught model, or before the first with the one the studio began with.

        Raises:
            BusyError: detection is at work.
        """
        with self._begin_lock:
            if self._job is not None and self._job.running:
                raise BusyError("detection is at work; wait until it has ended")
            row = self._model_row() if self._heads is not None else None
            chosen = self.recordings() if recordings is None else [self.recording(number) for number in recordings]
            detector = load(self.model if row is None else self.out)
            number = None if row is None else int(row["id"])
            self._job = Job("detect", len(chosen), lambda job: self._detections.run(job, detector, number, chosen))
            return self._job

    def detect(self, recordings: Sequence[int] | None = None) -> None:
        """Detect, and wait for it."""
        self.start_detection(recordings).wait()

    def detections(
        self, label: str | None = None, order: str = "time", recording: int | None = None
    ) -> list[dict[str, Any]]:
        """Return what was detected, with the verdicts on it.

        Args:
            label: a class; all if None.
            order: ``score``, ``time``, or ``stratified``: as strata of scores draw them, so that verdicts measure.
            recording: number of a recording; all if None.
        """
        if order not in ORDERS:
            raise UsageError(f"order {order!r}: expected {', '.join(ORDERS)}")
        found = self._detections.of(self._labels.all(), label, recording)
        return ordered(found, order, self._detections.candidates(found, self._trained()))

    def _trained(self) -> set[int]:
        """Return the numbers of labels that the model was taught on, as they are."""
        row = self._model_row()
        if row is None:
            return set()
        later = self._labels.changed_since(int(row["journal"]))
        return {label.id for label in self._labels.all() if label.id not in later}

    def tune(self, label: str, precision: float = WANTED) -> dict[str, Any]:
        """Choose the lowest threshold with a precision by the verdicts on detections, and store it in the model.

        Returns:
            ``threshold``, ``precision`` with its interval, and ``kept``: how many detections are left.

        Raises:
            TooFewError: the verdicts support none; says what is missing.
        """
        _check_share("precision", precision)
        if self._heads is None:
            raise TooFewError("no model yet: teach one, and let it detect")
        candidates = self._detection_candidates(label)
        chosen = threshold_for(candidates, precision)
        if isinstance(chosen, str):
            raise TooFewError(f"{label}, precision {precision:.0%}: {chosen}{self._taught_note(label)}")
        threshold = round(chosen[0], 4)
        self.describe(label, threshold=threshold, wanted_precision=precision)
        kept = int((candidates.score >= threshold).sum())
        return {"threshold": threshold, "precision": chosen[1].to_dict(), "kept": kept}

    def _taught_note(self, label: str) -> str:
        """Return how many verdicts on detections do not count, because the model was taught on them."""
        trained = self._trained()
        count = sum(item["label_id"] in trained for item in self._detections.of(self._labels.all(), label))
        return f" (verdicts on {count} others were taught: the model knows these sounds)" if count else ""

    def describe(self, name: str, **changes: float | None) -> dict[str, Any]:
        """Say something about a class, which need not have labels yet.

        Args:
            name: of the class.
            changes: ``threshold`` from which on events of it are detected (None takes the model's own again), and
                ``wanted_precision``.

        Returns:
            The class as in ``state``.
        """
        name = check_name(name)
        for key, value in changes.items():
            if value is not None:
                _check_share(key, value)
        with self._teaching:
            old = self._described(name)
            wanted = changes.get("wanted_precision")
            threshold = changes["threshold"] if "threshold" in changes else old["threshold"]
            if "threshold" in changes and self._heads is not None and name in self._heads.labels:
                self._store_threshold(name, threshold)
            with self._database.transaction() as file:
                values = (name, threshold, old["wanted"] if wanted is None else wanted, self.by, now())
                file.execute("INSERT OR REPLACE INTO classes VALUES (?, ?, ?, ?, ?)", values)
        return self._class_state(name)

    def _described(self, name: str) -> dict[str, Any]:
        rows = self._database.rows("SELECT threshold, wanted FROM classes WHERE name = ?", (name,))
        return dict(rows[0]) if rows else {"threshold": None, "wanted": WANTED}

    def _store_threshold(self, name: str, threshold: float | None) -> None:
        """Write a threshold into the model; None writes the one that teaching found."""
        bundle = load_bundle(self.out)
        own = {row["label"]: row["threshold"] for row in json.loads(self._database.fact(_OWN_THRESHOLDS) or "[]")}
        thresholds = {**bundle.spec.thresholds, name: own.get(name, 0.5) if threshold is None else threshold}
        add_files(self.out, {}, bundle.spec.model_copy(update={"thresholds": thresholds}))

    def _detection_candidates(self, label: str) -> Candidates:
        found = self._detections.of(self._labels.all(), label)
        return self._detections.candidates(found, self._trained())

    # --- use --------------------------------------------------------------------------------------------------------

    def cut_out(
        self,
        label: str | None = None,
        *,
        lead_s: float = 1.0,
        tail_s: float = 1.0,
        format: CutoutFormat = "flac",
        folder: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        """Write every confirmed sound as a file.

        Args:
            label: a class; all if None.
            lead_s: seconds before it.
            tail_s: seconds behind it.
            format: ``flac`` or ``wav``.
            folder: where to; ``cutouts`` beside the project's file if None.

        Returns:
            ``folder``, ``files`` and ``skipped``: recordings that could not be read.
        """
        target = self.own_folder / "cutouts" if folder is None else Path(folder)
        options = CutoutOptions(str(target), lead_s, tail_s, format)
        labels = self.labels(label, "yes")
        if not labels:
            raise TooFewError("nothing was confirmed yet: there is nothing to cut out")
        files, skipped = 0, []
        for number in dict.fromkeys(item.recording for item in labels):
            own = [item for item in labels if item.recording == number]
            events = [Event(x.label, x.onset, x.offset, 1.0 if x.score is None else x.score) for x in own]
            try:
                recording = self.recording(number)
                files += len(write_cutouts(recording.file, recording.path, events, options))
            except InputError as error:
                skipped.append({"path": own[0].path, "code": error.code, "message": error.message})
        return {"folder": str(target.resolve()), "files": files, "skipped": skipped}

    def export(self, format: str = "csv") -> bytes:
        """Return the labels as a file of another program: ``csv``, ``json``, or a zip for ``raven``, ``audacity``."""
        return export_labels(self.labels(), {r.id: r for r in self.recordings()}, format)

    def tile(self, recording: int | str, from_s: float, to_s: float, width: int) -> bytes:
        """Return a picture of a part of a recording as JSON, see docs/studio.md."""
        return self._tiles.tile(self.recording(recording), self._sounds, from_s, to_s, width)

    def sound(self, recording: int | str, from_s: float, to_s: float) -> Audio:
        """Return a part of a recording, mono, in its own rate."""
        file = self._sounds.file(self.recording(recording))
        return read_audio(file, offset_s=from_s, duration_s=to_s - from_s)

    def write_training_table(self, path: str | os.PathLike[str]) -> int:
        """Write all verdicts as a table for ``auricle train``: a row a part, ``_negative_`` where it holds no class.

        Returns:
            The number of rows.

        Raises:
            TooFewError: nothing was confirmed yet.
        """
        known = {recording.id: recording for recording in self.recordings()}
        regions = [region for region in regions_of(self.labels()) if region.recording in known]
        if not any(region.classes for region in regions):
            raise TooFewError("no example yet: confirm a sound of a class (verdict yes) before training")
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("path", "label", "onset", "offset", "group"))
        for region in regions:
            file = str(Path(known[region.recording].file).resolve())
            label = ";".join(region.classes) or "_negative_"
            writer.writerow((file, label, rounded(region.onset), rounded(region.offset), known[region.recording].path))
        atomic_write(Path(path), buffer.getvalue().encode("utf-8", "surrogateescape"))
        return len(regions)

    # --- state ------------------------------------------------------------------------------------------------------

    def classes(self) -> list[str]:
        """Return the classes that have labels, or that the model knows."""
        named = [
            str(row[0])
            for row in self._database.rows("SELECT label FROM labels UNION SELECT name FROM classes ORDER BY 1")
        ]
        more = [] if self._heads is None else [name for name in self._heads.labels if name not in named]
        return [*named, *more]

    def state(self) -> dict[str, Any]:
        """Return all that a page shows of the project, see docs/studio.md."""
        rows = self.recordings()
        done, total = self._index.progress_s()
        job = self._job if self._job is not None and self._job.running else None
        failed = next((j.error for j in (self._indexing, self._job) if j is not None and j.error is not None), None)
        return {
            "folder": str(self.folder.resolve()),
            "recordings": len(rows),
            "duration": rounded(sum(r.duration for r in rows if r.duration is not None)),
            "database": str(self.database.resolve()),
            "by": self.by,
            "problems": len(self.problems()),
            "indexed": {"done": round(done), "total": round(total)},
            "job": None if job is None else job.to_dict(),
            "failed": None if failed is None else str(failed),
            "model": self.model_state(),
            "detections": self._detections.count(),
            "classes": [self._class_state(name) for name in self.classes()],
        }

    def _class_state(self, name: str) -> dict[str, Any]:
        """Return the state of a class; it is computed again where something has changed that it depends on."""
        said = self._described(name)
        depends = (
            *(self._labels.last_change(), said["threshold"], said["wanted"], self._detections.version),
            *(self._heads, self._index.windows()),  # told apart by identity
        )
        kept = self._states.get(name)
        if kept is None or kept[0] != depends:
            kept = (depends, self._computed_state(name, said))
            self._states[name] = kept
        return kept[1]

    def _computed_state(self, name: str, said: Mapping[str, Any]) -> dict[str, Any]:
        counts = dict.fromkeys(("yes", "no", "unsure"), 0)
        query = "SELECT verdict, count(*) FROM labels WHERE label = ? GROUP BY verdict"
        counts |= {row[0]: row[1] for row in self._database.rows(query, (name,))}
        state = {"name": name, **counts, "threshold": said["threshold"], "wanted_precision": said["wanted"]}
        measured = self._measured(name, said["threshold"])
        if measured is None:
            return {**state, "precision": None, "precision_of": None, "verdicts_to_go": None}
        candidates, threshold, what = measured
        figure = precision_of(candidates, threshold)
        return {
            **state,
            "precision": None if figure is None else figure.to_dict(),
            "precision_of": what,
            "verdicts_to_go": verdicts_to_go(candidates, threshold),
        }

    def _measured(self, name: str, threshold: float | None) -> tuple[Candidates, float, str] | None:
        """Return what precision is told of: detections from a chosen threshold on, windows while there is none."""
        if threshold is not None and self._detections.count(name):
            return self._detection_candidates(name), threshold, "detections"
        found = self._window_scores(name)
        if found is None or not len(found[0]):
            return None
        return self._window_candidates(name, *found), WINDOW_THRESHOLD, "windows"


def _candidates(windows: Windows, scores: Any, verdict: Any) -> Candidates:
    return Candidates(
        np.asarray(scores, np.float64), verdict, windows.key, windows.recording, windows.onset, windows.offset
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a class for JSON."""
    return {key: value.to_dict() if hasattr(value, "to_dict") else value for key, value in row.items()}


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise UsageError(f"{name} {value:g}: expected a number between 0 and 1, such as 0.9")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        return "someone"


def _locked(own_folder: Path, folder: Path) -> FolderLock:
    """Return the lock of a project that is held by entering it; the reason names the folder of recordings."""

    class Lock(FolderLock):
        def __enter__(self) -> FolderLock:
            try:
                return super().__enter__()
            except RunError as error:
                raise RunError(f"{folder} is open in another studio, or cannot be used: {error.message}") from error

    return Lock(own_folder)
