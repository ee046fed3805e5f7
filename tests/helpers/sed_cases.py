# SPDX-License-Identifier: Apache-2.0
"""Random recordings with true events and frame scores, the same for the golden figures and for the test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auricle.results import Event, Scores

GOLDEN = Path(__file__).parents[1] / "evaluation" / "sed_golden.json"
CASES = 100
LABELS = ("a", "b", "c")
STEP_S = 0.1
#: Between two scores, so that it does not matter whether a score may equal it.
THRESHOLD = 0.50005


@dataclass(frozen=True)
class Case:
    """What is to be scored."""

    scores: dict[str, Scores]
    truth: dict[str, list[Event]]
    durations: dict[str, float]


def make_case(seed: int) -> Case:
    """Return one to four recordings of a few seconds; every fifth case has a label without a true event."""
    rng = np.random.default_rng(seed)
    scores, truth, durations = {}, {}, {}
    noise_level, blur = rng.uniform(0.4, 1.2), int(rng.integers(1, 8))
    for number in range(int(rng.integers(1, 5))):
        name, frames = f"{number}", int(rng.integers(20, 90))
        durations[name] = frames * STEP_S
        truth[name] = []
        values = rng.uniform(0, noise_level, (frames, len(LABELS)))
        for column, label in enumerate(LABELS[:2] if seed % 5 == 4 else LABELS):
            edges = np.sort(rng.uniform(0, durations[name], 2 * int(rng.integers(0 if number else 1, 4))))
            for onset, offset in edges.reshape(-1, 2).round(4):
                if offset - onset > 0.01:
                    truth[name].append(Event(label, float(onset), float(offset), 1.0))
                    values[round(onset / STEP_S) : round(offset / STEP_S) + 1, column] += rng.uniform(0, 1)
        kernel = np.ones(blur) / blur
        smooth = np.stack([np.convolve(column, kernel, "same") for column in values.T], axis=1)
        digits = 4 if seed % 2 else 1  # every other case is full of ties
        times = ((np.arange(frames) + 0.5) * STEP_S).astype(np.float32)
        scores[name] = Scores(times, np.clip(smooth, 0, 1).round(digits).astype(np.float32), LABELS, STEP_S)
    return Case(scores, truth, durations)


def fingerprint(case: Case) -> str:
    """Return a hash of a case: another one means that numpy draws other numbers now, not that a figure is wrong."""
    digest = hashlib.sha256()
    for name, frames in case.scores.items():
        digest.update(frames.values.round(4).tobytes())
        digest.update(repr([(e.label, round(e.onset, 4), round(e.offset, 4)) for e in case.truth[name]]).encode())
    return digest.hexdigest()[:16]
