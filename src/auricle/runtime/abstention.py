# SPDX-License-Identifier: Apache-2.0
"""Naming nothing rather than something wrong: thresholds of clip scores at stated error rates.

A model states for some rates the score from which on at most that share of what it names is wrong: of clips that were
left out of the fit, and of other sounds, as many in weight, none of which may be named. Chosen by the rule of selective
prediction (Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NIPS 2017), with one more mistake
added to those that were seen, so that few clips support no small rate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from auricle.errors import UsageError
from auricle.results import Flag, TagResult
from auricle.runtime.spec import AbstentionPart, BundleSpec

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


def fit_abstention(
    scores: npt.ArrayLike, right: npt.ArrayLike, others: npt.ArrayLike, rates: tuple[float, ...] = RATES
) -> AbstentionPart | None:
    """Return the thresholds that held-out scores support; None if they support no rate.

    Args:
        scores: highest score of each held-out clip, ``(clip,)``.
        right: whether it is that of a class of the clip.
        others: highest score of each sound that is none of the classes; together they weigh as much as the clips.
        rates: largest shares of mistakes among what is named.
    """
    own, alien = np.asarray(scores, np.float64), np.asarray(others, np.float64)
    good = np.asarray(right, np.bool_)
    if len(own) == 0 or len(alien) == 0:
        return None
    one = 1 / len(own)
    edges = np.unique(np.concatenate([own, alien]))
    found = []
    for rate in sorted(rates):
        for below, at in zip(np.concatenate([[0.0], edges[:-1]]), edges, strict=True):
            taken = own >= at
            wrong = one * (taken & ~good).sum() + (alien >= at).sum() / len(alien)
            total = one * taken.sum() + (alien >= at).sum() / len(alien)
            if taken.any() and (wrong + one) / (total + one) <= rate:
                found.append((rate, float((below + at) / 2), float(taken.mean())))
                break
    if not found:
        return None
    kept, thresholds, coverage = zip(*found, strict=True)
    return AbstentionPart(rates=kept, thresholds=thresholds, coverage=coverage, clips=len(own), others=len(alien))


def threshold_of(spec: BundleSpec, rate: float) -> float:
    """Return the score under which nothing is named at an error rate.

    Raises:
        UsageError: the model states no error rates, or not one as small.
    """
    if not 0 < rate < 1:
        raise UsageError(f"--abstain {rate:g}: expected a share of mistakes between 0 and 1, such as 0.05")
    part = spec.abstention
    if part is None:
        raise UsageError(
            f"--abstain: {spec.name} states no error rates: nothing was measured on sounds that are none of its "
            "classes; models of `auricle enrol` do, from about twenty clips on"
        )
    stated = [i for i, known in enumerate(part.rates) if known <= rate]
    if not stated:
        raise UsageError(
            f"--abstain {rate:g}: the {part.clips} held-out clips of {spec.name} support no rate below "
            f"{part.rates[0]:g}; allow more mistakes, or enrol more clips"
        )
    return part.thresholds[stated[-1]]


def abstaining(result: TagResult, spec: BundleSpec, rate: float | None) -> TagResult:
    """Return a result that names nothing where its highest score is below the threshold of an error rate."""
    if rate is None or result.error is not None or not result.scores:
        return result
    limit, best = threshold_of(spec, rate), result.scores[0].score
    if best >= limit:
        return result
    flag = Flag("none_of_these", {"rate": rate, "score": best, "limit": limit})
    return replace(result, scores=(), flags=(*result.flags, flag))
