# SPDX-License-Identifier: Apache-2.0
"""Signs that a run goes wrong while its numbers are still finite: said early, and never acted upon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auricle.results import FloatArray

#: A loss so many times the epoch's median is a spike ...
SPIKE = 10.0
#: ... in an epoch of at least so many steps: the median of fewer says little.
LEAST_STEPS = 8
#: Scores that differ by less over all recordings say nothing about them.
CONSTANT = 1e-6


def spike_in(losses: Sequence[float]) -> str | None:
    """Say if a loss of an epoch stands far above the others.

    >>> spike_in([1.0] * 9 + [30.0])
    'the loss rose to 30 in its step 10, 30 times the median; look at the data, or lower optim.lr'
    >>> spike_in([1.0] * 10)
    """
    if len(losses) < LEAST_STEPS:
        return None
    median, worst = float(np.median(losses)), int(np.argmax(losses))
    if not losses[worst] > SPIKE * median > 0:
        return None
    return (
        f"the loss rose to {losses[worst]:.3g} in its step {worst + 1}, {losses[worst] / median:.0f} times the "
        "median; look at the data, or lower optim.lr"
    )


def constant_scores(scores: FloatArray) -> str | None:
    """Say if a network gives every recording the same scores.

    Args:
        scores: ``(clip, label)``.
    """
    if len(scores) < 2 or float(np.ptp(scores, axis=0).max()) > CONSTANT:
        return None
    return f"all {len(scores)} dev clips get the same scores: the network does not listen; lower optim.lr"
