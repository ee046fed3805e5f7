# SPDX-License-Identifier: Apache-2.0
"""The model of a project: a folder that is written by each teaching, and the layers that score windows with it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auricle.enrolment.backbone import Backbone
from auricle.errors import BundleError
from auricle.runtime.bundle import add_files, load_bundle
from auricle.runtime.spec import ONNX_FILES
from auricle.studio.database import Database
from auricle.studio.labels import LabelStore, now
from auricle.studio.recordings import Recording
from auricle.studio.teaching import HEADS, Heads, Teacher, load_heads, save_heads

_OWN_THRESHOLDS = "thresholds of teaching"


class TaughtModel:
    """The folder ``out``, a normal model at any time.

    Args:
        folder: of the project's files, for the layers.
        out: folder of the model.
        database: of the project.
        labels: of the project.
        backbone: the network up to its last layers.
        teacher: fits the layers.

    Attributes:
        heads: the layers; None before the first teaching, or if another model lies in the folder now.
        changing: is held while the folder changes.
    """

    def __init__(
        self, folder: Path, out: Path, database: Database, labels: LabelStore, backbone: Backbone, teacher: Teacher
    ) -> None:
        self.out = out
        self.changing = threading.Lock()
        self._folder = folder
        self._database = database
        self._labels = labels
        self._teacher = teacher
        self.heads = self._stored_heads(backbone)

    def _stored_heads(self, backbone: Backbone) -> Heads | None:
        """Return the layers of the model folder; None if it is gone or another model lies there now."""
        try:
            sha256 = load_bundle(self.out).spec.sha256[ONNX_FILES["float32"]]
        except BundleError:
            return None
        return load_heads(self._folder / HEADS, sha256, backbone.sha256)

    def teach(self, known: Mapping[int, Recording], name: str) -> dict[str, Any]:
        """Make a model of all verdicts; see ``Studio.teach``.

        Args:
            known: the readable recordings, by number.
            name: of the data.
        """
        with self.changing:
            entry = self._labels.last_change()
            taught = self._teacher.teach(self._labels.all(), known, self.out, name)
            save_heads(self._folder / HEADS, taught.heads)
            with self._database.transaction() as file:
                file.execute(
                    "INSERT INTO models (at, by, path, sha256, labels, journal, seconds) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(now(), self._labels.by, str(self.out), taught.heads.sha256),
                        *(json.dumps(taught.heads.labels, ensure_ascii=False), entry, round(taught.seconds, 3)),
                    ),
                )
                file.execute("UPDATE classes SET threshold = NULL")  # scores of another model are other scores
            own = [{key: row[key] for key in ("label", "threshold")} for row in taught.rows]
            self._database.keep_fact(_OWN_THRESHOLDS, json.dumps(own))
            self.heads = taught.heads
        skipped = [
            {"path": known[r.recording].path, "onset": r.onset, "offset": r.offset, **failure.to_dict()}
            for r, failure in taught.skipped.items()
        ]
        return {
            "model": self.state(),
            "seconds": round(taught.seconds, 3),
            "labels": list(taught.heads.labels),
            "rows": [_row(row) for row in taught.rows],
            "skipped": skipped,
        }

    def state(self) -> dict[str, Any] | None:
        """Return name, path, labels, when, and seconds it took; None before the first."""
        row = self.row()
        if row is None or self.heads is None:
            return None
        return {
            "name": self.out.resolve().name,
            "path": str(self.out.resolve()),
            "labels": json.loads(row["labels"]),
            "trained_at": row["at"],
            "seconds": row["seconds"],
        }

    def row(self) -> sqlite3.Row | None:
        """Return what the project's file has of the last teaching."""
        rows = self._database.rows("SELECT * FROM models ORDER BY id DESC LIMIT 1")
        return rows[0] if rows else None

    @property
    def number(self) -> int | None:
        """The number of the last teaching; None while there is no taught model."""
        row = self.row()
        return None if row is None or self.heads is None else int(row["id"])

    def store_threshold(self, name: str, threshold: float | None) -> None:
        """Write the threshold of a class into the model; None writes the one that teaching found."""
        bundle = load_bundle(self.out)
        own = {row["label"]: row["threshold"] for row in json.loads(self._database.fact(_OWN_THRESHOLDS) or "[]")}
        thresholds = {**bundle.spec.thresholds, name: own.get(name, 0.5) if threshold is None else threshold}
        add_files(self.out, {}, bundle.spec.model_copy(update={"thresholds": thresholds}))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a class for JSON."""
    return {key: value.to_dict() if hasattr(value, "to_dict") else value for key, value in row.items()}
