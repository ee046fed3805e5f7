# SPDX-License-Identifier: Apache-2.0
"""Several teachers as one: the mean of their scores, joined by the names of their classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auricle.audio.resample import resample
from auricle.errors import UsageError
from auricle.files import sha256_bytes
from auricle.results import FloatArray
from auricle.teachers.teacher import Answer, Teacher


class AverageTeacher:
    """The mean of several teachers that know the same classes, in any order; embeddings stand side by side.

    Args:
        teachers: at least two. Each gets the sound at its own rate.

    Raises:
        UsageError: their classes differ.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        first = teachers[0]
        for other in teachers[1:]:
            odd = sorted(set(first.labels) ^ set(other.labels))
            if odd:
                raise UsageError(
                    f"teachers {first.name} and {other.name} know other classes, such as {', '.join(odd[:3])}; "
                    "an average needs the same ones (in any order)"
                )
        self.name = "+".join(teacher.name for teacher in teachers)
        self.identity = sha256_bytes(" ".join(teacher.identity for teacher in teachers).encode())
        self.labels = first.labels
        self.sample_rate = max(teacher.sample_rate for teacher in teachers)
        self.window_s = min(teacher.window_s for teacher in teachers)
        self.embedding_size = sum(teacher.embedding_size for teacher in teachers)
        self._teachers = tuple(teachers)
        self._orders = [[t.labels.index(label) for label in first.labels] for t in teachers]

    def score(self, waveforms: FloatArray) -> Answer:
        """See ``teacher.Teacher.score``."""
        answers = [teacher.score(self._at_rate_of(teacher, waveforms)) for teacher in self._teachers]
        scores = np.mean([a.scores[:, order] for a, order in zip(answers, self._orders, strict=True)], axis=0)
        embeddings = [a.embedding for a in answers if a.embedding is not None]
        return Answer(scores.astype(np.float32), np.concatenate(embeddings, axis=1) if embeddings else None)

    def _at_rate_of(self, teacher: Teacher, waveforms: FloatArray) -> FloatArray:
        if teacher.sample_rate == self.sample_rate:
            return waveforms
        return np.stack([resample(row, self.sample_rate, teacher.sample_rate) for row in waveforms])
