# SPDX-License-Identifier: Apache-2.0
"""What a teacher is: waveforms at its own rate in, scores of its own classes out.

A teacher brings its own normalisation. Whoever calls it resamples to ``sample_rate`` and cuts windows of at most
``window_s``; nothing else is asked of the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from auricle.results import FloatArray


@dataclass(frozen=True)
class Answer:
    """What a teacher says about a batch.

    Shape:
        scores: ``(batch, class)`` in [0, 1]: sigmoid, or softmax, as the teacher was trained.
        embedding: ``(batch, dimension)``, or None where it has none.
    """

    scores: FloatArray
    embedding: FloatArray | None


class Teacher(Protocol):
    """One way to label audio.

    Attributes:
        name: for people.
        identity: what the answers depend on; the hash of weights and settings.
        sample_rate: that it listens at, in Hz.
        labels: its classes, in the order of its scores.
        window_s: the longest input in seconds.
        embedding_size: length of its embedding; 0 if it has none.
    """

    name: str
    identity: str
    sample_rate: int
    labels: tuple[str, ...]
    window_s: float
    embedding_size: int

    def score(self, waveforms: FloatArray) -> Answer:
        """Score waveforms ``(batch, sample)`` at ``sample_rate``, in [-1, 1], all of one length."""
        ...
