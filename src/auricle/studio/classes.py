# SPDX-License-Identifier: Apache-2.0
"""The classes of a project: thresholds, the precision that is wanted, and what is known of the one that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auricle.errors import UsageError
from auricle.studio.database import Database
from auricle.studio.detections import DetectionStore
from auricle.studio.index import Index
from auricle.studio.labels import LabelStore, check_name, now
from auricle.studio.model import TaughtModel
from auricle.studio.questions import WINDOW_THRESHOLD, Questions
from auricle.studio.selection import Candidates, precision_of, threshold_for, verdicts_to_go
from auricle.studio.teaching import TooFewError

#: Precision that is asked for where nobody says another one.
WANTED = 0.9


class ClassStore:
    """The classes of a project.

    Args:
        database: of the project.
        labels: of the project.
        model: of the project.
        index: of the project; what is computed again when there are more windows depends on it.
        questions: the windows of the project as candidates.
        detections: of the project.
    """

    def __init__(
        self,
        database: Database,
        labels: LabelStore,
        model: TaughtModel,
        index: Index,
        questions: Questions,
        detections: DetectionStore,
    ) -> None:
        self._database = database
        self._labels = labels
        self._model = model
        self._index = index
        self._questions = questions
        self._detections = detections
        self._states: dict[str, tuple[Any, dict[str, Any]]] = {}

    def names(self) -> list[str]:
        """Return the classes that have labels, or that the model knows."""
        named = [
            str(row[0])
            for row in self._database.rows("SELECT label FROM labels UNION SELECT name FROM classes ORDER BY 1")
        ]
        heads = self._model.heads
        more = [] if heads is None else [name for name in heads.labels if name not in named]
        return [*named, *more]

    def describe(self, name: str, changes: Mapping[str, float | None]) -> dict[str, Any]:
        """Say something about a class; see ``Studio.describe``."""
        name = check_name(name)
        for key, value in changes.items():
            if value is not None:
                _check_share(key, value)
        with self._model.changing:
            old = self._described(name)
            wanted = changes.get("wanted_precision")
            threshold = changes["threshold"] if "threshold" in changes else old["threshold"]
            heads = self._model.heads
            if "threshold" in changes and heads is not None and name in heads.labels:
                self._model.store_threshold(name, threshold)
            with self._database.transaction() as file:
                values = (name, threshold, old["wanted"] if wanted is None else wanted, self._labels.by, now())
                file.execute("INSERT OR REPLACE INTO classes VALUES (?, ?, ?, ?, ?)", values)
        return self.state(name)

    def _described(self, name: str) -> dict[str, Any]:
        rows = self._database.rows("SELECT threshold, wanted FROM classes WHERE name = ?", (name,))
        return dict(rows[0]) if rows else {"threshold": None, "wanted": WANTED}

    def tune(self, label: str, precision: float) -> dict[str, Any]:
        """Choose the lowest threshold with a precision by the verdicts on detections; see ``Studio.tune``."""
        _check_share("precision", precision)
        if self._model.heads is None:
            raise TooFewError("no model yet: teach one, and let it detect")
        stale = self._detections.stale(self._model.number, label)
        if stale:
            raise TooFewError(f"{label}: {stale} of its detections are of an older model: detect again, then tune")
        candidates = self._detection_candidates(label)
        chosen = threshold_for(candidates, precision)
        if isinstance(chosen, str):
            raise TooFewError(f"{label}, precision {precision:.0%}: {chosen}")
        threshold = chosen[0]
        self.describe(label, {"threshold": threshold, "wanted_precision": precision})
        kept = int((candidates.score >= threshold).sum())
        return {"threshold": threshold, "precision": chosen[1].to_dict(), "kept": kept}

    def _detection_candidates(self, label: str) -> Candidates:
        return self._detections.candidates(self._detections.of(self._labels.all(), label, measured=True))

    def state(self, name: str) -> dict[str, Any]:
        """Return the state of a class; it is computed again where something has changed that it depends on."""
        said = self._described(name)
        depends = (
            *(self._labels.last_change(), said["threshold"], said["wanted"], self._detections.version),
            *(self._model.heads, self._index.windows()),  # told apart by identity
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
        if (
            threshold is not None
            and self._detections.count(name)
            and not self._detections.stale(self._model.number, name)
        ):
            return self._detection_candidates(name), threshold, "detections"
        found = self._questions.candidates(name)
        return None if found is None else (found, WINDOW_THRESHOLD, "windows")


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise UsageError(f"{name} {value:g}: expected a number between 0 and 1, such as 0.9")
