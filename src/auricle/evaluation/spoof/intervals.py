# SPDX-License-Identifier: Apache-2.0
"""How sure are the figures of a spoofing detector? Bootstrap over speakers, and differences between two detectors.

Speakers are drawn, not recordings: those with bona fide recordings and those without (voices of synthesisers) apart,
as many of each as there are, so that no draw lacks a kind by chance. A draw's figure with several seeds is the mean
over the seeds; a paired difference compares two detectors on the same draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.intervals import REPEATS, percentile_interval
from auricle.evaluation.spoof.metrics import (
    ASVSPOOF5,
    Array,
    BoolArray,
    check_scores,
    eer_of,
    min_dcf_of,
    surprise_bits,
    weighted_rates,
)
from auricle.results import Interval

#: Figures by name, in the order in which they are shown. The last two take the scores at their word.
FIGURES = ("eer", "min_dcf", "act_dcf", "cllr")

_MAX_UNDEFINED = 0.5
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Trials:
    """What is known about the scored recordings; all of one length.

    Attributes:
        utterances: names, each once.
        speakers: who speaks, or whose voice is imitated.
        systems: the spoofing system; ``-`` for bona fide recordings.
        bonafide: whether each is bona fide.
    """

    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    systems: tuple[str, ...]
    bonafide: BoolArray

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def attacks(self) -> tuple[str, ...]:
        """Names of the spoofing systems, sorted."""
        return tuple(sorted({s for s, real in zip(self.systems, self.bonafide, strict=True) if not real}))

    def against(self, systems: Sequence[str]) -> BoolArray:
        """Return who takes part in the figures of some systems: their recordings and all bona fide ones."""
        return np.asarray(self.bonafide | np.isin(self.systems, systems))

    def select(self, mask: BoolArray) -> Trials:
        """Return a part of the trials."""
        index = np.flatnonzero(mask)
        pick = [tuple(values[i] for i in index) for values in (self.utterances, self.speakers, self.systems)]
        return Trials(pick[0], pick[1], pick[2], self.bonafide[index])


def figures(trials: Trials, scores: npt.ArrayLike, *, repeats: int = REPEATS, seed: int = 0) -> dict[str, Interval]:
    """Return the figures with 95 % intervals.

    Args:
        trials: the recordings.
        scores: log-likelihood ratios, shape ``(trial,)``, or ``(seed, trial)`` for several trainings.
        repeats: how many draws.
        seed: of the draws.

    Raises:
        ValueError: no bona fide or no spoofed recording, or scores that are not finite.
    """
    table = _table(trials, scores)
    drawn = _draws(trials, table, repeats, seed)
    found = {
        name: _interval(table_value, drawn[name], len(trials)) for name, table_value in _points(trials, table).items()
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def paired_difference(
    trials: Trials, first: npt.ArrayLike, second: npt.ArrayLike, *, repeats: int = REPEATS, seed: int = 0
) -> dict[str, Interval]:
    """Return figure by figure ``first - second`` with 95 % intervals: below 0, the first detector is better."""
    tables = _table(trials, first), _table(trials, second)
    draws = [_draws(trials, table, repeats, seed) for table in tables]
    points = [_points(trials, table) for table in tables]
    found = {}
    for name in FIGURES:
        interval = _interval(points[0][name] - points[1][name], draws[0][name] - draws[1][name], len(trials))
        if interval is not None:
            found[name] = interval
    return found


def speaker_draws(trials: Trials, repeats: int, seed: int) -> Iterator[Array]:
    """Yield how often each trial was drawn, block by block of ``(draw, trial)``."""
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    names, index = np.unique(trials.speakers, return_inverse=True)
    human = np.bincount(index, weights=trials.bonafide, minlength=len(names)) > 0
    rng = np.random.default_rng(seed)
    counts = np.zeros((repeats, len(names)))
    for stratum in (np.flatnonzero(human), np.flatnonzero(~human)):
        if len(stratum):
            chosen = rng.integers(0, len(stratum), (repeats, len(stratum)))
            np.add.at(counts, (np.arange(repeats)[:, None], stratum[chosen]), 1)
    step = max(1, _BLOCK // len(trials))
    for start in range(0, repeats, step):
        yield counts[start : start + step][:, index]


def _table(trials: Trials, scores: npt.ArrayLike) -> Array:
    """Return scores as ``(seed, trial)``, checked."""
    table = np.atleast_2d(np.asarray(scores, np.float64))
    if table.shape[1:] != (len(trials),):
        raise ValueError(f"got scores of shape {table.shape} for {len(trials)} trials; need (trial,) or (seed, trial)")
    for row in table:
        check_scores(row[trials.bonafide], row[~trials.bonafide])
    return table


def _points(trials: Trials, table: Array) -> dict[str, float]:
    """Return each figure on all trials, its mean over the seeds."""
    once = np.ones((1, len(trials)))
    rows = [_weighted_figures(row, trials.bonafide, once) for row in table]
    return {name: float(np.mean([row[name][0] for row in rows])) for name in FIGURES}


def _draws(trials: Trials, table: Array, repeats: int, seed: int) -> dict[str, Array]:
    """Return each figure of each draw, its mean over the seeds, shape ``(draw,)``; NaN where it is undefined."""
    parts: dict[str, list[Array]] = {name: [] for name in FIGURES}
    for weights in speaker_draws(trials, repeats, seed):
        rows = [_weighted_figures(row, trials.bonafide, weights) for row in table]
        for name in FIGURES:
            parts[name].append(np.mean([row[name] for row in rows], axis=0))
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}


def _weighted_figures(scores: Array, bonafide: BoolArray, weights: Array) -> dict[str, Array]:
    """Return the figures of draws ``(draw, trial)``, each of shape ``(draw,)``."""
    rates = weighted_rates(scores, bonafide, weights)
    miss, alarm = ASVSPOOF5.weights
    accepted = scores >= ASVSPOOF5.threshold
    bits = surprise_bits(scores, bonafide)

    def mean(values: Array, of: BoolArray) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(weights[:, of] @ values[of] / weights[:, of].sum(axis=1))

    return {
        "eer": eer_of(rates),
        "min_dcf": min_dcf_of(rates),
        "act_dcf": miss * mean((~accepted).astype(np.float64), bonafide)
        + alarm * mean(accepted.astype(np.float64), ~bonafide),
        "cllr": (mean(bits, bonafide) + mean(bits, ~bonafide)) / 2,
    }


def _interval(value: float, drawn: Array, n: int) -> Interval | None:
    """Return the figure with its interval; None if it is undefined for more than half of the draws."""
    known = drawn[np.isfinite(drawn)]
    return None if len(known) < (1 - _MAX_UNDEFINED) * len(drawn) else percentile_interval(value, known, n)
