# SPDX-License-Identifier: Apache-2.0
"""What an augmentation is to a batch: a draw for its crops, a cut of each recording, and changes to all cuts.

Two follow this: ``crop`` changes one crop after the other, waveforms and log-mels; ``batch`` changes a batch of
waveforms by a few array operations. Either way what happens to a crop is a function of (seed, epoch, clip).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from auricle.results import FloatArray

IntArray = npt.NDArray[np.int64]


class Placement(NamedTuple):
    """Where a crop lies in its recording, and how its time runs.

    Attributes:
        start: where the crop begins, as a share in [0, 1) of what may be skipped.
        shift: share in [0, 1) of the crop that is rolled from its end to its start.
        speed: playback speed; 1 leaves the crop alone.
    """

    start: float = 0.0
    shift: float = 0.0
    speed: float = 1.0


@dataclass(frozen=True)
class CutRule:
    """How crops are cut out of recordings.

    Attributes:
        length: entries of a crop: samples, or log-mel frames.
        pad: rule of ``timeline.pad_window`` for what is shorter.
        filled: entries that a recording is filled up to before it is cut; None fills the crop, after its speed.
        speeds: whether speeds apply; they do not to log-mels.
    """

    length: int
    pad: str
    filled: int | None = None
    speeds: bool = True


class Draw(NamedTuple):
    """What is drawn for the crops of one batch.

    Attributes:
        places: of each crop.
        variants: which version of the recording, as a share in [0, 1) of those there are.
        masks: ``(crop, 2, mask, 2)``, for time and frequency the (start, width) as shares of the axis.
        equalisers: ``(crop, point)``, frequency response in dB; no points change nothing.
        changes: the rest, for ``Augmentation.apply``.
    """

    places: Sequence[Placement]
    variants: Sequence[float]
    masks: FloatArray
    equalisers: FloatArray
    changes: Any


class Augmentation(Protocol):
    """Random changes to the crops of batches."""

    @property
    def rule(self) -> CutRule:
        """How crops are cut."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the part of a recording that a crop is made of."""

    def draw(self, epochs: IntArray, clips: IntArray) -> Draw:
        """Draw what happens to the crops of a batch, each by its epoch and clip."""

    def cut(self, recording: FloatArray, place: Placement) -> FloatArray:
        """Return the part of a recording that a crop is made of, of the one shape."""

    def apply(self, parts: FloatArray, places: Sequence[Placement], changes: Any) -> FloatArray:
        """Return the crops, ``(crop, sample)`` or ``(crop, mel, frame)``, made of their parts."""
