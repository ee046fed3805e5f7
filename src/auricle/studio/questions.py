# SPDX-License-Identifier: Apache-2.0
"""Which windows of a project a person is asked about: those like the examples, and those that teach or measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from auricle.enrolment.backbone import Backbone
from auricle.enrolment.bank import load_bank
from auricle.errors import InputError
from auricle.results import rounded
from auricle.studio.index import Index, Windows
from auricle.studio.labels import LabelStore
from auricle.studio.model import TaughtModel
from auricle.studio.recordings import RecordingStore
from auricle.studio.selection import SUREST, UNSEEN, Candidates, queue
from auricle.studio.teaching import Heads, Teacher, TooFewError
from auricle.studio.verdicts import verdicts_on

#: Windows are said to hold a class from this score on.
WINDOW_THRESHOLD = 0.5


class Questions:
    """The windows of a project as candidates.

    Args:
        index: their vectors.
        recordings: of the project.
        labels: of the project.
        model: of the project.
        backbone: the network up to its last layers.
        teacher: has the vectors of examples.
    """

    def __init__(
        self,
        index: Index,
        recordings: RecordingStore,
        labels: LabelStore,
        model: TaughtModel,
        backbone: Backbone,
        teacher: Teacher,
    ) -> None:
        self._index = index
        self._recordings = recordings
        self._labels = labels
        self._model = model
        self._backbone = backbone
        self._teacher = teacher
        self._scores: tuple[Windows, Heads, np.ndarray[Any, Any]] | None = None

    def search(self, label: str, count: int) -> list[dict[str, Any]]:
        """Return the windows most like what was confirmed for a class; see ``Studio.search``."""
        examples = self._examples(label)
        if not examples:
            raise TooFewError(f"no example of {label} yet: draw one, or confirm one; five are better")
        windows = self._index.windows()
        scores = self._likeness(windows, examples)
        verdict, _ = verdicts_on(windows.recording, windows.onset, windows.offset, self._labels.all(label))
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
        known = {recording.id: recording for recording in self._recordings.readable()}
        found = []
        for item in self._labels.all(label, "yes"):
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

    def queue(self, labels: Sequence[str], count: int) -> list[dict[str, Any]]:
        """Return what to judge next of some classes in turn; see ``Studio.queue``."""
        parts = [self._queue(name, -(-count // max(1, len(labels)))) for name in labels]
        mixed = [part[i] for i in range(count) for part in parts if i < len(part)]
        return mixed[:count]

    def _queue(self, label: str, count: int) -> list[dict[str, Any]]:
        found = self._window_scores(label)
        if found is None:
            if not self._labels.all(label, "yes"):
                return []
            return [{**item, "reason": SUREST} for item in self.search(label, count)]
        windows, scores = found
        candidates = self._window_candidates(label, windows, scores)
        chosen = queue(candidates, WINDOW_THRESHOLD, count)
        return [{**self._window(windows, one, label, float(scores[one])), "reason": why} for one, why in chosen]

    def candidates(self, label: str) -> Candidates | None:
        """Return all windows with their scores for a class; None where the model does not know it."""
        found = self._window_scores(label)
        return None if found is None or not len(found[0]) else self._window_candidates(label, *found)

    def _window_scores(self, label: str) -> tuple[Windows, Any] | None:
        heads, windows = self._model.heads, self._index.windows()
        if heads is None or label not in heads.labels:
            return None
        kept = self._scores
        if kept is None or kept[0] is not windows or kept[1] is not heads:
            kept = (windows, heads, heads.scores(self._index, windows))
            self._scores = kept
        return windows, kept[2][:, heads.labels.index(label)]

    def _window_candidates(self, label: str, windows: Windows, scores: Any) -> Candidates:
        verdict, _ = verdicts_on(windows.recording, windows.onset, windows.offset, self._labels.all(label))
        return _candidates(windows, scores, verdict)


def _candidates(windows: Windows, scores: Any, verdict: Any) -> Candidates:
    return Candidates(
        np.asarray(scores, np.float64), verdict, windows.key, windows.recording, windows.onset, windows.offset
    )
