# SPDX-License-Identifier: Apache-2.0
"""Which candidates a person is asked about next, and what the answers say about all others.

Candidates of a class are windows, or events that a detector found, each with a score. Three kinds are asked about:

    least_sure   scores nearest to the threshold: they teach the most
    surest       the highest scores: they find examples while there are few
    random       drawn from strata of those at or above the threshold: they measure

Each candidate has a number from 0 to 1, its key, drawn once and for all. In a stratum those with the lowest keys come
first; those up to the first one without a verdict are a simple random sample of the stratum, whyever they were asked
about and whatever the strata were then (permanent random numbers: Ohlsson, "Coordination of samples using permanent
random numbers", 1995). So a new model changes the strata, and the verdicts go on counting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.intervals import wilson_limits
from auricle.results import Interval

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Verdicts on a candidate, in ``Candidates.verdict``.
UNSEEN, NO, YES, UNSURE = -1, 0, 1, 2
#: Why a candidate is asked about.
LEAST_SURE, SUREST, RANDOM = "least_sure", "surest", "random"
#: Candidates of one kind are asked about in this order, again and again.
MIX = (LEAST_SURE, RANDOM, LEAST_SURE, SUREST)
MOST_STRATA = 4
#: A stratum of which fewer are judged says nothing by itself.
LEAST_JUDGED = 2
#: Precision is known when it is known to within this, at 95 %.
HALF_WIDTH = 0.05
#: What precision is taken to be while nothing says it.
ASSUMED = 0.9
#: Of one recording so many are asked about in a batch at most, while others have candidates.
MOST_ALIKE = 2


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates of one class.

    Attributes:
        score: from 0 to 1, by a model that was not taught on the candidate, ``(candidate,)``.
        verdict: ``UNSEEN``, ``NO``, ``YES`` or ``UNSURE``.
        key: permanent random numbers.
        recording: number of the recording.
        onset: seconds.
        offset: seconds.
    """

    score: FloatArray
    verdict: IntArray
    key: FloatArray
    recording: IntArray
    onset: FloatArray
    offset: FloatArray

    def __len__(self) -> int:
        return len(self.score)

    def overlap(self, one: int, others: Sequence[int]) -> bool:
        """Tell whether a candidate shares sound with one of some others."""
        return any(
            self.recording[one] == self.recording[other]
            and self.onset[one] < self.offset[other]
            and self.onset[other] < self.offset[one]
            for other in others
        )


@dataclass(frozen=True, eq=False)
class Stratum:
    """Candidates of similar score.

    Attributes:
        members: numbers of the candidates, by key.
        sampled: how many of the first of them have a verdict.
        hits: how many of those are ``YES``.
    """

    members: IntArray
    sampled: int
    hits: int

    @property
    def done(self) -> bool:
        """Whether so many are judged that it says something."""
        return self.sampled >= min(LEAST_JUDGED, len(self.members))


def strata_of(candidates: Candidates, threshold: float, count: int = MOST_STRATA) -> list[Stratum]:
    """Return the candidates at or above a threshold in so many parts of equal size, low scores first.

    Those about which a person was unsure are of no part.
    """
    chosen = np.flatnonzero((candidates.score >= threshold) & (candidates.verdict != UNSURE))
    order = chosen[np.argsort(candidates.score[chosen], kind="stable")]
    return [_stratum(candidates, part) for part in np.array_split(order, max(1, min(count, len(order)))) if len(part)]


def _stratum(candidates: Candidates, members: IntArray) -> Stratum:
    members = members[np.argsort(candidates.key[members], kind="stable")]
    unseen = np.flatnonzero(candidates.verdict[members] == UNSEEN)
    sampled = int(unseen[0]) if len(unseen) else len(members)
    return Stratum(members, sampled, int((candidates.verdict[members[:sampled]] == YES).sum()))


def useful_strata(candidates: Candidates, threshold: float) -> list[Stratum]:
    """Return as many strata as are judged well enough, four at most; none where not even one is."""
    for count in range(MOST_STRATA, 0, -1):
        strata = strata_of(candidates, threshold, count)
        if strata and all(stratum.done for stratum in strata):
            return strata
    return []


def precision_of(candidates: Candidates, threshold: float) -> Interval | None:
    """Return which share of the candidates at or above a threshold are right, with its 95 % interval.

    The estimate weighs strata by their sizes. The interval is Wilson's, with the number of verdicts that a simple
    sample would need for the same variance (Franco et al., "Comparative study of confidence intervals for proportions
    in complex sample surveys", 2019); what a whole stratum holds is known. ``n`` is the number of verdicts behind it.

    Returns:
        None if too few of them are judged, or there are none.
    """
    strata = useful_strata(candidates, threshold)
    if not strata:
        return None
    sizes = np.array([len(stratum.members) for stratum in strata], np.float64)
    sampled = np.array([stratum.sampled for stratum in strata], np.float64)
    hits = np.array([stratum.hits for stratum in strata], np.float64)
    value = float((sizes / sizes.sum()) @ (hits / sampled))
    low, high = wilson_limits(value, _effective(sizes, sampled, hits))
    return Interval(value, low, high, int(sampled.sum()))


def _effective(sizes: FloatArray, sampled: FloatArray, hits: FloatArray) -> float:
    """Return how many verdicts of a simple sample have the variance of these; infinite where all are judged."""
    weights = sizes / sizes.sum()
    # One half of a hit and of a miss keep the variance of a stratum without a mistake above 0.
    shares = (hits + 0.5) / (sampled + 1)
    variance = float(np.sum(weights**2 * shares * (1 - shares) / sampled * (1 - sampled / sizes)))
    share = float(weights @ shares)
    return math.inf if variance <= 0 else share * (1 - share) / variance


def verdicts_to_go(candidates: Candidates, threshold: float, half_width: float = HALF_WIDTH) -> int:
    """Return how many more random candidates have to be judged until precision is known to within ``half_width``.

    Strata are taken to go on as they are; while nothing is known, precision is taken to be 90 %.
    """
    strata = strata_of(candidates, threshold)
    if not strata:
        return 0
    sizes = np.array([len(stratum.members) for stratum in strata], np.float64)
    sampled = np.array([stratum.sampled for stratum in strata], np.float64)
    hits = np.array([stratum.hits for stratum in strata], np.float64)
    shares = np.where(sampled >= LEAST_JUDGED, hits / np.maximum(sampled, 1), ASSUMED)
    if sampled.sum() >= LEAST_JUDGED:
        shares = np.where(sampled >= LEAST_JUDGED, shares, hits.sum() / sampled.sum())
    value = float(sizes @ shares / sizes.sum())

    def wide(more: int) -> bool:
        then = np.minimum(sizes, np.maximum(sampled, (sampled.sum() + more) * sizes / sizes.sum()))
        low, high = wilson_limits(value, _effective(sizes, np.maximum(then, 1e-9), shares * then))
        return high - low > 2 * half_width

    left = int(sizes.sum() - sampled.sum())
    return _first(lambda more: not wide(more), left)


def _first(holds: Callable[[int], bool], most: int) -> int:
    """Return the least number from 0 to ``most`` for which something holds that holds for all larger ones."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def queue(candidates: Candidates, threshold: float, count: int) -> list[tuple[int, str]]:
    """Return which candidates to ask about next, each with the reason, in the order in which to ask.

    None of them has a verdict, no two share sound, and the same candidates give the same queue.
    """
    found = _Queue(candidates, threshold)
    reasons = list(MIX)
    while reasons and len(found.chosen) < count:
        reason = reasons.pop(0)
        if found.take(reason):
            reasons.append(reason)
    found.fill(count)
    return found.chosen


class _Queue:
    """A queue that grows."""

    def __init__(self, candidates: Candidates, threshold: float) -> None:
        self._candidates = candidates
        self._sources = {
            LEAST_SURE: iter(_nearest(candidates, threshold)),
            SUREST: iter(_highest(candidates)),
            RANDOM: _samples(candidates, threshold),
        }
        self._alike: dict[int, int] = {}
        self._late: list[tuple[int, str]] = []
        self.chosen: list[tuple[int, str]] = []

    def take(self, reason: str) -> bool:
        """Take the next one of a kind; False if there is none. Of one recording only so many, but for random ones."""
        for one in self._sources[reason]:
            if self._overlaps(one):
                continue
            recording = int(self._candidates.recording[one])
            if reason != RANDOM and self._alike.get(recording, 0) >= MOST_ALIKE:
                self._late.append((one, reason))
                continue
            self.chosen.append((one, reason))
            self._alike[recording] = self._alike.get(recording, 0) + 1
            return True
        return False

    def fill(self, count: int) -> None:
        """Take what was left because of its recording, until there are so many."""
        for one, reason in self._late:
            if len(self.chosen) >= count:
                return
            if not self._overlaps(one):
                self.chosen.append((one, reason))

    def _overlaps(self, one: int) -> bool:
        return self._candidates.overlap(one, [other for other, _ in self.chosen])


def _unseen(candidates: Candidates) -> IntArray:
    return np.flatnonzero(candidates.verdict == UNSEEN)


def _nearest(candidates: Candidates, threshold: float) -> list[int]:
    unseen = _unseen(candidates)
    order = np.argsort(np.abs(candidates.score[unseen] - threshold), kind="stable")
    return [int(one) for one in unseen[order]]


def _highest(candidates: Candidates) -> list[int]:
    unseen = _unseen(candidates)
    return [int(one) for one in unseen[np.argsort(-candidates.score[unseen], kind="stable")]]


def _samples(candidates: Candidates, threshold: float) -> Iterator[int]:
    """Yield the next of each stratum, strata in proportion to their sizes; then what lies below the threshold."""
    strata = strata_of(candidates, threshold)
    done = [stratum.sampled for stratum in strata]
    while any(n < len(stratum.members) for n, stratum in zip(done, strata, strict=True)):
        needs = [len(s.members) / (n + 1) if n < len(s.members) else 0.0 for n, s in zip(done, strata, strict=True)]
        which = int(np.argmax(needs))
        one = int(strata[which].members[done[which]])
        done[which] += 1
        if candidates.verdict[one] == UNSEEN:
            yield one
    rest = np.flatnonzero((candidates.score < threshold) & (candidates.verdict == UNSEEN))
    yield from rest[np.argsort(candidates.key[rest], kind="stable")].tolist()


def threshold_for(candidates: Candidates, wanted: float, lowest: float = 0.0) -> tuple[float, Interval] | str:
    """Return the lowest threshold at which precision is as wanted, with its interval, or why there is none.

    Candidates for it lie between scores that occur; those below ``lowest`` are not tried.
    """
    scores = np.unique(candidates.score[(candidates.score >= lowest) & (candidates.verdict != UNSURE)])
    if len(scores) == 0:
        return "nothing was detected"
    tried = scores[np.unique(np.linspace(0, len(scores) - 1, min(len(scores), 200)).astype(int))]
    best: Interval | None = None
    counted = 0
    for score in tried:
        found = precision_of(candidates, float(score))
        counted = max(counted, 0 if found is None else found.n)
        if found is None or found.n < least_verdicts(wanted):
            continue
        if best is None or found.value > best.value:
            best = found
        if found.value >= wanted:
            below = scores[scores < score]
            return _between(float(below[-1]) if len(below) else 0.0, float(score)), found
    if best is None:
        judged = int(np.isin(candidates.verdict, (NO, YES)).sum())
        return (
            f"of {judged} verdicts on detections {counted} count, those before the first gap in the mixed order; "
            f"{wanted:.0%} can be told from {least_verdicts(wanted)} or more: judge on in that order (`stratified`)"
        )
    return (
        f"at most {best.value:.1%} are right ({best.low:.0%} to {best.high:.0%}, by {best.n} verdicts); "
        "teach on the false alarms, then detect again"
    )


def _between(low: float, high: float) -> float:
    """Return the shortest number above ``low`` and not above ``high`` that is about in their middle.

    >>> _between(0.5, 0.7), _between(0.97318, 0.97321)
    (0.6, 0.9732)
    """
    for digits in range(2, 7):
        number = round((low + high) / 2, digits)
        if low < number <= high:
            return number
    return high


def least_verdicts(wanted: float) -> int:
    """Return how many verdicts there have to be before a share means anything.

    >>> least_verdicts(0.9), least_verdicts(0.5)
    (10, 4)
    """
    return max(4, math.ceil(1 / max(1 - wanted, 0.01) - 1e-9))


def review_order(candidates: Candidates, threshold: float = 0.0) -> list[int]:
    """Return all candidates in the order in which strata draw them, judged or not; the unsure ones last."""
    strata = strata_of(candidates, threshold)
    done, order = [0] * len(strata), []
    while any(n < len(stratum.members) for n, stratum in zip(done, strata, strict=True)):
        needs = [len(s.members) / (n + 1) if n < len(s.members) else 0.0 for n, s in zip(done, strata, strict=True)]
        which = int(np.argmax(needs))
        order.append(int(strata[which].members[done[which]]))
        done[which] += 1
    return order + sorted(set(range(len(candidates))) - set(order))
