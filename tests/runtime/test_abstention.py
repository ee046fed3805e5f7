# SPDX-License-Identifier: Apache-2.0
"""Naming nothing rather than something wrong, at a stated share of mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import auricle
from auricle.errors import UsageError
from auricle.results import LabelScore, TagResult
from auricle.runtime.abstention import abstaining, fit_abstention, threshold_of
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.spec import AbstentionPart


@pytest.fixture
def spec():
    spec = load_bundle(resolve_model("esc10")).spec
    part = AbstentionPart(rates=(0.05, 0.2), thresholds=(0.8, 0.4), coverage=(0.5, 0.9), clips=40, others=200)
    return spec.model_copy(update={"abstention": part})


def test_a_threshold_by_hand():
    """Nine right clips above one wrong one: at 20 % of mistakes nine are named ((0 + 1) / (9 + 1)), at 5 % nothing."""
    scores = [0.95 - 0.05 * i for i in range(10)]
    right = [True] * 9 + [False]
    part = fit_abstention(scores, right, [0.1, 0.2], rates=(0.05, 0.1, 0.2))
    assert part is not None
    assert part.rates == (0.1, 0.2)
    assert part.thresholds[0] == pytest.approx((0.5 + 0.55) / 2)
    assert part.coverage == (0.9, 1.0), "at 20 % the wrong one may be named too: (1 + 1) / (10 + 1)"
    assert (part.clips, part.others) == (10, 2)


def test_other_sounds_weigh_as_much_as_clips():
    """All twenty clips are right; of five other sounds one scores as high: a fifth of all that is named is wrong."""
    part = fit_abstention(np.full(20, 0.9), np.ones(20), [0.9, 0.1, 0.1, 0.1, 0.1], rates=(0.1, 0.25))
    assert part is not None
    assert part.rates == (0.25,)


def test_few_clips_support_no_small_rate():
    assert fit_abstention([0.9] * 3, [True] * 3, [0.1], rates=(0.05,)) is None
    assert fit_abstention([0.9] * 19, [True] * 19, [0.1], rates=(0.05,)) is not None
    assert fit_abstention([], [], [0.1]) is None


def test_the_stated_rate_holds_on_new_clips_of_the_same_kind():
    rng = np.random.default_rng(0)

    def draw(n: int):
        right = rng.random(n) < 0.8
        return np.where(right, rng.beta(4, 2, n), rng.beta(2, 3, n)), right, rng.beta(1.5, 4, n)

    shares = []
    for _ in range(60):
        part = fit_abstention(*draw(80), rates=(0.1,))
        if part is None:
            continue
        scores, right, others = draw(2_000)
        limit = part.thresholds[0]
        wrong = ((scores >= limit) & ~right).sum() + (others >= limit).sum()
        shares.append(wrong / ((scores >= limit).sum() + (others >= limit).sum()))
    assert len(shares) > 40
    assert np.mean(shares) < 0.11


def test_a_low_score_names_nothing_and_says_why(spec):
    result = TagResult("a.wav", 1.0, scores=(LabelScore("dog", 0.5), LabelScore("rain", 0.1)))
    assert abstaining(result, spec, None) == abstaining(result, spec, 0.2) == result
    silent = abstaining(result, spec, 0.05)
    assert silent.scores == ()
    assert [f.to_dict() for f in silent.flags] == [{"code": "none_of_these", "rate": 0.05, "score": 0.5, "limit": 0.8}]
    assert threshold_of(spec, 0.1) == 0.8, "the next smaller rate that is stated"


def test_what_no_data_support_is_refused(spec):
    with pytest.raises(
        UsageError, match=r"--abstain 0\.01: the 40 held-out clips of esc10 support no rate below 0\.05"
    ):
        threshold_of(spec, 0.01)
    with pytest.raises(UsageError, match="expected a share of mistakes between 0 and 1"):
        threshold_of(spec, 5)
    with pytest.raises(UsageError, match="--abstain: general states no error rates"):
        auricle.load("general").tag(np.zeros(16_000, np.float32), 16_000, abstain=0.05)
    with pytest.raises(UsageError, match="use tag"):
        auricle.scan(["a.wav"], command="detect", abstain=0.1)
