# SPDX-License-Identifier: Apache-2.0
"""What the labels of a class say about parts of recordings: windows of the index, or events that were detected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from auricle.studio.labels import Label
from auricle.studio.selection import NO, UNSEEN, UNSURE, YES

_CODES = {"yes": YES, "no": NO, "unsure": UNSURE}
_RANK = {UNSEEN: 0, NO: 1, UNSURE: 2, YES: 3}
_SLACK = 1e-6


def verdicts_on(
    recording: npt.NDArray[np.int64],
    onset: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    labels: Sequence[Label],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the verdict on each part, and the number of the label that says it (0 without one).

    A part is judged by a label that shares more than half of the shorter of the two if it says ``yes``, and by one
    that covers more than half of the part if it says ``no`` or ``unsure``. Of several, ``yes`` counts before ``unsure``
    before ``no``, and the later one before the earlier.

    Args:
        recording: number of each part's recording, ``(part,)``; parts of one recording stand side by side.
        onset: seconds, ``(part,)``.
        offset: seconds, ``(part,)``.
        labels: of one class.
    """
    verdict = np.full(len(recording), UNSEEN, np.int64)
    said_by = np.zeros(len(recording), np.int64)
    numbers, firsts, counts = np.unique(recording, return_index=True, return_counts=True)
    places = {int(n): slice(int(a), int(a + count)) for n, a, count in zip(numbers, firsts, counts, strict=True)}
    for label in labels:
        own = places.get(label.recording)
        if own is None:
            continue
        shared = np.minimum(offset[own], label.offset) - np.maximum(onset[own], label.onset)
        length = offset[own] - onset[own]
        least = np.minimum(length, label.offset - label.onset) if label.verdict == "yes" else length
        hit = np.flatnonzero(shared > 0.5 * least + _SLACK) + own.start
        code = _CODES[label.verdict]
        for part in hit:
            if _RANK[code] >= _RANK[int(verdict[part])]:
                verdict[part], said_by[part] = code, label.id
    return verdict, said_by
