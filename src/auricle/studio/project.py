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

import getpass
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from auricle.audio.cutouts import CutoutFormat, CutoutOptions
from auricle.audio.decode import Audio, read_audio
from auricle.enrolment.backbone import open_backbone
from auricle.errors import InputError, RunError, UsageError
from auricle.files import FolderLock
from auricle.registry import nearest
from auricle.results import rounded
from auricle.runtime.detector import load
from auricle.studio.classes import WANTED, ClassStore
from auricle.studio.database import Database
from auricle.studio.detections import ORDERS, DetectionStore, ordered
from auricle.studio.exports import cut_out_labels, export_labels, write_training_table
from auricle.studio.held_out import HeldOut
from auricle.studio.index import Index
from auricle.studio.jobs import Job
from auricle.studio.labels import Label, LabelSource, LabelStore, Verdict
from auricle.studio.model import TaughtModel
from auricle.studio.questions import Questions
from auricle.studio.recordings import Recording, RecordingStore
from auricle.studio.sounds import SoundCache
from auricle.studio.teaching import Teacher
from auricle.studio.tiles import TileCache

#: Where a project keeps its things in the folder of recordings.
OWN_FOLDER = ".auricle-studio"
DATABASE = "project.sqlite"
_MOST_ASKED = 500


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
            stack.callback(self._teacher.close)
            self._detections = DetectionStore(self._database, self._recordings)
            self._tiles = TileCache(self.own_folder / "tiles")
            self._model = TaughtModel(
                self.own_folder, self.out, self._database, self._labels, self._backbone, self._teacher
            )
            self._questions = Questions(
                self._index, self._recordings, self._labels, self._model, self._backbone, self._teacher
            )
            self._classes = ClassStore(
                self._database, self._labels, self._model, self._index, self._questions, self._detections
            )
            self._stack = stack.pop_all()
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
        verdict: Verdict = "yes",
        *,
        source: LabelSource = "drawn",
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
        found = self.recording(recording)
        stored = self._labels.add(Label(found.id, onset, offset, label, verdict, source, score, low_hz, high_hz), key)
        if stored.verdict != "unsure":
            self._teacher.prepare(found, stored.onset, stored.offset)
        return stored

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
                self._indexing = Job("index", 0, lambda job: self._index.extend(job.stopped), yielding=True)
            return self._indexing

    def index(self) -> None:
        """Compute the vectors that are missing, and wait for them."""
        self.start_indexing().wait()

    def search(self, label: str, count: int = 20) -> list[dict[str, Any]]:
        """Return the windows most like what was confirmed for a class, those without a verdict, the best first.

        Raises:
            TooFewError: nothing was confirmed for it yet.
        """
        return self._questions.search(label, count)

    # --- teaching ---------------------------------------------------------------------------------------------------

    def teach(self) -> dict[str, Any]:
        """Make a model of all verdicts; the folder ``out`` is a normal model at any time.

        Returns:
            ``model`` as in ``state``, ``seconds``, ``labels``, ``rows`` (figures of each class) and ``skipped``.

        Raises:
            TooFewError: nothing was confirmed yet.
        """
        known = {recording.id: recording for recording in self.recordings()}
        return self._model.teach(known, self.folder.resolve().name)

    def model_state(self) -> dict[str, Any] | None:
        """Return the taught model: name, path, labels, when, and seconds it took; None before the first."""
        return self._model.state()

    def queue(self, label: str | None = None, count: int = 20) -> list[dict[str, Any]]:
        """Return what to judge next: windows without a verdict, with the reason why they are asked about.

        Args:
            label: the class; of all classes in turn if None.
            count: how many.
        """
        return self._questions.queue(self.classes() if label is None else [label], count)

    # --- detection --------------------------------------------------------------------------------------------------

    def start_detection(self, recordings: Sequence[int] | None = None) -> Job:
        """Detect in the background, with the taught model, or before the first with the one the studio began with.

        Raises:
            BusyError: detection is at work.
        """
        with self._begin_lock:
            if self._job is not None and self._job.running:
                raise BusyError("detection is at work; wait until it has ended")
            with self._model.changing:
                number, heads = self._model.number, self._model.heads
                detector = load(self.model if heads is None else self.out)
            chosen = self.recordings() if recordings is None else [self.recording(number) for number in recordings]
            held_out = None if heads is None else HeldOut(heads, detector, self._backbone, self._sounds)
            self._job = Job(
                "detect", len(chosen), lambda job: self._detections.run(job, detector, number, chosen, held_out)
            )
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
            order: ``score``, ``time``, or ``stratified``: as strata of scores draw them, so that verdicts measure. Then
                near what was taught they are those of a fit that did not see it.
            recording: number of a recording; all if None.
        """
        if order not in ORDERS:
            raise UsageError(f"order {order!r}: expected {', '.join(ORDERS)}")
        found = self._detections.of(self._labels.all(), label, recording, measured=order == "stratified")
        return ordered(found, order, self._detections.candidates(found))

    def tune(self, label: str, precision: float = WANTED) -> dict[str, Any]:
        """Choose the lowest threshold with a precision by the verdicts on detections, and store it in the model.

        Returns:
            ``threshold``, ``precision`` with its interval, and ``kept``: how many detections are left.

        Raises:
            TooFewError: the verdicts support none; says what is missing.
        """
        return self._classes.tune(label, precision)

    def describe(self, name: str, **changes: float | None) -> dict[str, Any]:
        """Say something about a class, which need not have labels yet.

        Args:
            name: of the class.
            changes: ``threshold`` from which on events of it are detected (None takes the model's own again), and
                ``wanted_precision``.

        Returns:
            The class as in ``state``.
        """
        return self._classes.describe(name, changes)

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
        return cut_out_labels(self.labels(label, "yes"), self.recording, options)

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
        return write_training_table(Path(path), self.labels(), known)

    # --- state ------------------------------------------------------------------------------------------------------

    def classes(self) -> list[str]:
        """Return the classes that have labels, or that the model knows."""
        return self._classes.names()

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
            "stale_detections": self._detections.stale(self._model.number),
            "classes": [self._classes.state(name) for name in self.classes()],
        }


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
