# SPDX-License-Identifier: Apache-2.0
"""Slow and obvious forms of the figures in ``spoof_metrics`` and ``spoof_intervals``."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np


def det_points(bonafide, spoof):
    """Return (miss, false alarm) at every threshold, as fractions, from accepting all to rejecting all."""
    points = []
    for t in [*sorted({*bonafide, *spoof}), math.inf]:
        miss = Fraction(sum(s < t for s in bonafide), len(bonafide))
        points.append((miss, Fraction(sum(s >= t for s in spoof), len(spoof))))
    return points


def eer(bonafide, spoof):
    points = det_points(bonafide, spoof)
    for (m0, f0), (m1, f1) in pairwise(points):
        if m1 >= f1:  # the line from here to there crosses miss = false alarm
            x = (f0 - m0) / ((f0 - m0) + (m1 - f1))
            return float(m0 + x * (m1 - m0))
    raise AssertionError("the last point rejects everything")


def min_dcf(bonafide, spoof, prior=0.05, c_miss=1, c_fa=10):
    costs = [c_miss * (1 - prior) * float(m) + c_fa * prior * float(f) for m, f in det_points(bonafide, spoof)]
    return min(costs) / min(c_miss * (1 - prior), c_fa * prior)


def cllr(bonafide, spoof):
    human = sum(math.log2(1 + math.exp(-s)) for s in bonafide) / len(bonafide)
    fake = sum(math.log2(1 + math.exp(s)) for s in spoof) / len(spoof)
    return (human + fake) / 2


def act_dcf(bonafide, spoof, prior=0.05, c_miss=1, c_fa=10):
    threshold = math.log(c_fa * prior / (c_miss * (1 - prior)))
    miss = sum(s < threshold for s in bonafide) / len(bonafide)
    alarm = sum(s >= threshold for s in spoof) / len(spoof)
    return (c_miss * (1 - prior) * miss + c_fa * prior * alarm) / min(c_miss * (1 - prior), c_fa * prior)


def repeated(scores, bonafide, counts):
    """Return both sets with every item as often as it was drawn."""
    human = [s for s, real, k in zip(scores, bonafide, counts, strict=True) if real for _ in range(int(k))]
    fake = [s for s, real, k in zip(scores, bonafide, counts, strict=True) if not real for _ in range(int(k))]
    return human, fake


FIGURES = {"eer": eer, "min_dcf": min_dcf, "act_dcf": act_dcf, "cllr": cllr}


def interval(scores, bonafide, draws, name):
    """Return the 95 % interval of a figure over draws ``(draw, item)`` of how often each item was taken."""
    values = []
    for counts in draws:
        human, fake = repeated(scores, bonafide, counts)
        if human and fake:
            values.append(FIGURES[name](human, fake))
    return tuple(np.quantile(values, [0.025, 0.975]))
