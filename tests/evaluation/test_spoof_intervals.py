# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from helpers import spoof_reference as reference

from auricle.evaluation.spoof.intervals import FIGURES, Trials, figures, paired_difference, speaker_draws


def make_trials(seed: int = 0, humans: int = 5, voices: int = 4, each: int = 6) -> tuple[Trials, np.ndarray]:
    """Human speakers with bona fide and vocoded clips, synthetic voices, and scores with a shift for each speaker."""
    rng = np.random.default_rng(seed)
    rows, scores = [], []
    for s in range(humans + voices):
        shift = rng.normal(0, 0.7)
        for k in range(each):
            system = f"S{s % 2}" if s >= humans else "-" if k % 3 else "S9"
            rows.append((f"u{s}_{k}", f"p{s}", system))
            scores.append(round(shift + rng.normal(1.5 if system == "-" else -1.0), 1))
    utterances, speakers, systems = zip(*rows, strict=True)
    return Trials(utterances, speakers, systems, np.array([s == "-" for s in systems])), np.array(scores)


def test_the_figures_of_everything_are_the_metrics():
    trials, scores = make_trials()
    human, fake = scores[trials.bonafide].tolist(), scores[~trials.bonafide].tolist()
    found = figures(trials, scores, repeats=20)
    assert list(found) == list(FIGURES)
    for name in FIGURES:
        assert found[name].value == pytest.approx(reference.FIGURES[name](human, fake))
        assert found[name].n == len(trials) == 54


def test_intervals_equal_those_of_repeated_lists():
    trials, scores = make_trials(1)
    draws = np.concatenate(list(speaker_draws(trials, 200, 3)))
    found = figures(trials, scores, repeats=200, seed=3)
    for name in FIGURES:
        expected = reference.interval(scores.tolist(), trials.bonafide.tolist(), draws, name)
        assert (found[name].low, found[name].high) == pytest.approx(expected)


def test_speakers_are_drawn_whole_and_both_kinds_in_their_numbers():
    trials, _ = make_trials()
    draws = np.concatenate(list(speaker_draws(trials, 50, 0)))
    speakers = np.array(trials.speakers)
    first = {name: draws[:, np.flatnonzero(speakers == name)] for name in set(trials.speakers)}
    for counts in first.values():
        assert (counts == counts[:, :1]).all()
    humans = sum(first[f"p{i}"][:, 0] for i in range(5))
    voices = sum(first[f"p{i}"][:, 0] for i in range(5, 9))
    assert set(humans) == {5.0}
    assert set(voices) == {4.0}
    assert not np.array_equal(draws[0], draws[1])


def test_blocks_do_not_change_the_draws(monkeypatch):
    trials, scores = make_trials()
    whole = figures(trials, scores, repeats=40)
    monkeypatch.setattr("auricle.evaluation.spoof.intervals._BLOCK", 3 * len(trials))
    assert figures(trials, scores, repeats=40) == whole


def test_speakers_that_differ_widen_the_interval():
    """The same scores, once with a speaker for each clip: clips of one speaker tell less than as many strangers."""
    rng = np.random.default_rng(0)
    shift = np.repeat(rng.normal(0, 4, 16), 20)
    bonafide = np.repeat([True, False], 160)
    scores = shift + np.where(bonafide, 1, -1)
    names = tuple(f"u{i}" for i in range(320))
    together = Trials(names, tuple(f"p{i // 20}" for i in range(320)), ("-",) * 320, bonafide)
    alone = Trials(names, names, ("-",) * 320, bonafide)
    wide, narrow = (figures(t, scores, repeats=300)["eer"] for t in (together, alone))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_several_seeds_are_averaged_on_the_same_draw():
    trials, first = make_trials(2)
    _, second = make_trials(3)
    both = figures(trials, [first, second], repeats=100)
    alone = [figures(trials, s, repeats=100) for s in (first, second)]
    for name in FIGURES:
        assert both[name].value == pytest.approx((alone[0][name].value + alone[1][name].value) / 2)
    assert figures(trials, [first, first], repeats=100) == alone[0]


def test_a_detector_does_not_differ_from_itself():
    trials, scores = make_trials()
    for interval in paired_difference(trials, scores, scores, repeats=50).values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_paired_differences_by_their_parts():
    trials, scores = make_trials(4)
    worse = scores * 0.2
    found = paired_difference(trials, scores, worse, repeats=200, seed=1)
    apart = [figures(trials, s, repeats=200, seed=1) for s in (scores, worse)]
    for name in FIGURES:
        assert found[name].value == pytest.approx(apart[0][name].value - apart[1][name].value)
    assert (found["eer"].low, found["eer"].high) == (0, 0)  # scaling changes no order ...
    assert found["cllr"].high < 0  # ... but what the scores claim
    back = paired_difference(trials, worse, scores, repeats=200, seed=1)
    assert back["cllr"].low == pytest.approx(-found["cllr"].high)


def test_pairing_sees_what_two_intervals_cannot():
    """Speakers differ much, the second detector is a little worse for every one of them."""
    rng = np.random.default_rng(5)
    shift = np.repeat(rng.normal(0, 1.5, 20), 20)
    bonafide = np.tile(np.repeat([True, False], 10), 20)
    trials = Trials(tuple(map(str, range(400))), tuple(f"p{i // 20}" for i in range(400)), ("-",) * 400, bonafide)
    first = shift + np.where(bonafide, 1.0, -1.0)
    second = shift + np.where(bonafide, 0.8, -0.8)
    a, b = (figures(trials, s, repeats=300)["cllr"] for s in (first, second))
    assert a.high > b.low  # the intervals overlap
    assert paired_difference(trials, first, second, repeats=300)["cllr"].high < 0


def test_parts_of_the_trials():
    trials, _ = make_trials()
    assert trials.attacks == ("S0", "S1", "S9")
    part = trials.select(trials.against(["S9"]))
    assert set(part.systems) == {"-", "S9"}
    assert part.bonafide.sum() == trials.bonafide.sum()
    assert len(part) == 5 * 6


def test_what_only_one_speaker_has_is_undefined_in_many_draws():
    """A system whose voices are human speakers can be absent from a draw; above half of the draws, nothing is said."""
    bonafide = np.array([True] * 9 + [False])
    trials = Trials(tuple("abcdefghij"), (*"abcdefghi", "i"), ("-",) * 9 + ("S1",), bonafide)
    scores = np.arange(10.0)
    found = figures(trials, scores, repeats=400)
    assert found["eer"].value == 1.0
    many = Trials(trials.utterances, (*"abcdefghi", "x"), trials.systems, bonafide)
    assert figures(many, scores, repeats=400)["eer"].low == 1.0  # a voice of its own is in every draw
    # Of two strata with one speaker each nothing can be missing; 1/e of the draws above lacked speaker "i".
    draws = np.concatenate(list(speaker_draws(trials, 400, 0)))
    assert 0.3 < (draws[:, 9] == 0).mean() < 0.45


def test_impossible_input_is_refused():
    trials, scores = make_trials()
    with pytest.raises(ValueError, match=r"got scores of shape \(1, 3\) for 54 trials; need \(trial,\) or"):
        figures(trials, [1, 2, 3])
    part = trials.select(trials.bonafide)
    with pytest.raises(ValueError, match="there is no spoof score"):
        figures(part, np.zeros(len(part)))
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        figures(trials, scores, repeats=0)
