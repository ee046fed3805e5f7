# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from helpers.psds_reference import reference_psds

from auricle.evaluation.events.intersections import Criteria
from auricle.evaluation.events.psds import PSDS1, PSDS2, PsdsRule, psds
from auricle.results import Event, Scores

LABELS = ("a", "b", "c")
STEP_S = 0.1


def frames(*rows: list[float], labels: tuple[str, ...] = ("a",)) -> Scores:
    """Return scores from one row a label."""
    values = np.array(rows, np.float32).T
    times = ((np.arange(len(values)) + 0.5) * STEP_S).astype(np.float32)
    return Scores(times, values, labels, STEP_S)


def events(*spans: tuple[str, float, float]) -> list[Event]:
    return [Event(label, onset, offset, 1.0) for label, onset, offset in spans]


def random_case(seed: int, *, boxes: bool = False, empty: bool = False):
    """Return detections, truth and durations of some recordings; ``empty`` leaves label c without a true event."""
    rng = np.random.default_rng(seed)
    detections, truth, durations = {}, {}, {}
    for number in range(int(rng.integers(1, 5))):
        name, duration = f"{number}.wav", float(rng.uniform(2, 8))
        durations[name] = duration
        truth[name] = []
        for label in LABELS[:2] if empty else LABELS:
            edges = np.sort(rng.uniform(0, duration, 2 * int(rng.integers(0, 4))))
            truth[name] += events(*((label, a, b) for a, b in edges.reshape(-1, 2)))
        if boxes:
            detections[name] = [
                Event(label, *np.sort(rng.uniform(0, duration, 2)), float(rng.integers(0, 6)) / 5)
                for label in LABELS
                for _ in range(int(rng.integers(0, 5)))
            ]
        else:
            count = int(np.ceil(duration / STEP_S))
            noise = rng.uniform(0, 1, (3, count))
            if rng.integers(2):  # ties
                noise = np.round(noise * 4) / 4
            for row, label in enumerate(LABELS):
                for event in truth[name]:
                    if event.label == label:
                        noise[row, int(event.onset / STEP_S) : int(event.offset / STEP_S)] += 1
            detections[name] = frames(*(noise / 2), labels=LABELS)
    return detections, truth, durations


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "rule", [PSDS1, PSDS2, PsdsRule(Criteria(0.4, 0.3, 0.2), 1.5, 0.5, 4_000)], ids=["1", "2", "other"]
)
def test_equals_the_slow_reference(rule: PsdsRule, seed: int):
    case = random_case(seed, boxes=seed % 4 == 3, empty=seed % 5 == 4)
    wide = PsdsRule(rule.criteria, rule.alpha_ct, rule.alpha_st, 5_000)  # short recordings: one alarm is hundreds
    for chosen in (rule, wide):
        result = psds(*case, chosen, labels=LABELS)
        value, per_class = reference_psds(*case, LABELS, chosen)
        assert result.value == pytest.approx(value, abs=1e-9)
        assert result.per_class == pytest.approx(per_class, abs=1e-9)


HOUR = {"x": 3600.0}


def test_perfect_is_one_and_nothing_is_zero():
    truth = {"x": events(("a", 0.2, 0.5))}
    perfect = frames([0, 0, 1, 1, 1, 0, 0])
    for rule in (PSDS1, PSDS2):
        assert psds({"x": perfect}, truth, {"x": 0.7}, rule).value == 1
        assert psds({"x": truth["x"]}, truth, {"x": 0.7}, rule, labels=["a"]).value == 1
        assert psds({"x": []}, truth, {"x": 0.7}, rule, labels=["a"]).value == 0
        # nothing but zeros: at threshold 0 the whole recording is one detection, of which 3/7 lie in the event
        assert psds({"x": frames([0] * 7)}, truth, {"x": 0.7}, PSDS1).value == 0


def test_without_true_events_there_is_no_figure():
    result = psds({"x": events(("a", 0, 1))}, {}, HOUR, PSDS1, labels=["a", "b"], repeats=5)
    assert result.value is None
    assert result.interval is None
    assert result.per_class == {"a": None, "b": None}


def test_a_label_without_true_events_does_not_count():
    truth = {"x": events(("a", 0, 1))}
    result = psds({"x": events(("a", 0, 1), ("b", 5, 6))}, truth, HOUR, PSDS1, labels=["a", "b"])
    assert result.value == 1
    assert result.per_class == {"a": 1, "b": None}


def test_false_alarms_by_hand():
    # One hour. Three alarms outscore the event: it is found at 3 false alarms an hour, so 97 of 100 remain.
    alarms = [Event("a", 10 * i, 10 * i + 1, 0.9) for i in range(3)]
    found = {"x": [*alarms, Event("a", 100, 101, 0.5)]}
    truth = {"x": events(("a", 100, 101))}
    assert psds(found, truth, HOUR, PSDS1, labels=["a"]).value == pytest.approx(0.97)
    # A tie: no threshold tells the event from the alarms, so the figure is the same.
    tied = {"x": [*alarms, Event("a", 100, 101, 0.9)]}
    assert psds(tied, truth, HOUR, PSDS1, labels=["a"]).value == pytest.approx(0.97)
    # Half an hour: three alarms are six an hour.
    assert psds(found, truth, {"x": 1800.0}, PSDS1, labels=["a"]).value == pytest.approx(0.94)


def test_the_two_criteria_by_hand():
    truth = {"x": events(("a", 0, 10))}

    def value(*spans: tuple[float, float]) -> float | None:
        return psds({"x": events(*(("a", *span) for span in spans))}, truth, HOUR, PSDS1, labels=["a"]).value

    assert value((0, 7)) == 1  # 7 of 10 s, just enough
    assert value((0, 6.9)) == 0
    assert value((0, 3), (5, 9)) == 1  # two parts together
    assert value((3, 13)) == 1  # 7 of its 10 s lie inside
    assert value((3.1, 13.1)) == 0  # not relevant, although...
    assert psds({"x": events(("a", 3.1, 13.1))}, truth, HOUR, PSDS2, labels=["a"]).value == 1  # ...enough for PSDS2


def test_touching_true_events_are_one():
    whole, halves = {"x": events(("a", 0, 10))}, {"x": events(("a", 0, 4), ("a", 4, 10))}
    found = {"x": events(("a", 0, 8))}
    for truth in (whole, halves, {"x": events(("a", 0, 6), ("a", 4, 10))}):
        result = psds(found, truth, HOUR, PSDS1, labels=["a"])
        assert result.value == 1
    # Recordings that lie end to end are not one recording.
    two = psds(
        {"x": events(("a", 0, 10)), "y": []}, {"x": whole["x"], "y": events(("a", 0, 1))},
        {"x": 10.0, "y": 3590.0}, PSDS1, labels=["a"],
    )  # fmt: skip
    assert two.value == 0.5


def test_cross_triggers_by_hand():
    # An hour with half an hour of b. A detection of a inside it: one alarm an hour + 0.5 * one per half hour of b = 2.
    truth = {"x": events(("a", 3000, 3100), ("b", 0, 1800))}
    found = {"x": [Event("a", 100, 200, 0.9), Event("a", 3000, 3100, 0.5), Event("b", 0, 1800, 1.0)]}
    result = psds(found, truth, HOUR, PSDS2, labels=["a", "b"])
    assert result.per_class == pytest.approx({"a": 0.98, "b": 1.0})
    # below two false alarms an hour: mean 0.5, standard deviation 0.5, nothing is left
    assert result.value == pytest.approx(0.98)
    assert psds(found, truth, HOUR, PSDS1, labels=["a", "b"]).per_class["a"] == pytest.approx(0.99)


def test_the_spread_over_labels_is_taken_away():
    truth = {"x": events(("a", 0, 1), ("a", 5, 6), ("b", 0, 1))}
    found = {"x": events(("a", 0, 1), ("b", 0, 1))}
    result = psds(found, truth, HOUR, PSDS1, labels=["a", "b"])
    assert result.per_class == {"a": 0.5, "b": 1.0}
    assert result.value == pytest.approx(0.75 - 0.25)


def test_frames_end_with_the_recording():
    # Frames of 1 s: the last one reaches 0.5 s beyond the end, and is cut there, so all of it lies in the event.
    scores = Scores(np.array([0.5, 1.5], np.float32), np.array([[0.0], [1.0]], np.float32), ("a",), 1.0)
    assert psds({"x": scores}, {"x": events(("a", 1, 1.5))}, {"x": 1.5}, PSDS1).value == 1


def test_intervals_hold_the_figure_and_draw_groups():
    found, truth, durations = {}, {}, {}
    for i in range(20):
        name = f"{i}.wav"
        truth[name] = events(("a", 1, 2))
        found[name] = truth[name] if i % 2 else []
        durations[name] = 10.0
    result = psds(found, truth, durations, PSDS1, labels=["a"], repeats=200)
    assert result.interval is not None
    assert (result.interval.value, result.interval.n) == (0.5, 20)
    assert 0.2 < result.interval.low < 0.4 < 0.6 < result.interval.high < 0.8
    one = psds(found, truth, durations, PSDS1, labels=["a"], repeats=20, groups=dict.fromkeys(durations, "all"))
    assert one.interval is not None
    assert one.interval.low == one.interval.high == 0.5
    again = psds(found, truth, durations, PSDS1, labels=["a"], repeats=200)
    assert again == result


def test_a_draw_is_the_figure_of_its_recordings():
    """Weights say how often a recording counts: as often as it would if it stood there several times."""
    from auricle.evaluation.events.psds import _area_over_labels, _curves
    from auricle.evaluation.events.threshold_counts import threshold_counts

    rng = np.random.default_rng(3)
    detections, truth, durations = random_case(2)
    weights = rng.integers(0, 3, len(durations)).astype(float)
    rule = PsdsRule(PSDS2.criteria, 0.5, 1.0, 3_000)
    counts = threshold_counts(detections, truth, durations, rule.criteria)
    value = _area_over_labels(list(_curves(counts, np.array(list(durations.values())), weights, rule).values()), rule)
    copies = [(f"{name}/{i}", name) for name, w in zip(durations, weights, strict=True) for i in range(int(w))]
    parts = [{copy: part[name] for copy, name in copies} for part in (detections, truth, durations)]
    assert value == pytest.approx(psds(*parts, rule).value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((({"x": []}, {}, {"x": 1.0})), "events say only what was detected; pass `labels`, all that could have been"),
        (({}, {}, {}, PSDS1), "events say only what was detected"),
        (({"x": frames([0.0])}, {}, {"x": 0.0}), "x has a duration of 0 s; it must be above 0"),
        (({"x": frames([0.0])}, {}, {"x": 1.0, "y": 1.0}), "there are no detections of y; pass an empty list"),
        (({"x": frames([0.0]), "y": frames([0.0])}, {}, {"x": 1.0}), "1 recordings have no duration, the first is y"),
        (
            ({"x": frames([0.0])}, {"x": events(("b", 0, 1))}, {"x": 1.0}),
            "an event has label 'b', which is not among a",
        ),
        (({"x": frames([0.0])}, {"x": events(("a", 2, 3))}, {"x": 1.0}), "begins at 2 s of a recording of 1 s"),
        (({"x": frames([np.nan])}, {}, {"x": 1.0}), r"x has scores of shape \(1, 1\); need finite ones of shape"),
        (({"x": frames([0.0]), "y": frames([0.0], labels=("b",))}, {}, {"x": 1.0}), "the scores have different labels"),
    ],
)
def test_what_does_not_fit_is_an_error(arguments, text: str):
    with pytest.raises(ValueError, match=text):
        psds(*arguments)


def test_labels_without_scores_and_scores_that_are_no_number():
    with pytest.raises(ValueError, match="there are no scores of z"):
        psds({"x": frames([0.0])}, {}, {"x": 1.0}, labels=["a", "z"])
    with pytest.raises(ValueError, match="a detected event of a has a score that is no finite number"):
        psds({"x": [Event("a", 0, 1, float("nan"))]}, {}, {"x": 1.0}, labels=["a"])
    with pytest.raises(ValueError, match="no recording to evaluate"):
        psds({}, {}, {}, labels=["a"])


def test_rules_that_ask_for_nothing_are_refused():
    with pytest.raises(ValueError, match="dtc is a share above 0 and at most 1, got 0"):
        Criteria(0.0)
    with pytest.raises(ValueError, match=r"alpha_ct above 0 and criteria\.cttc go together"):
        PsdsRule(Criteria(), alpha_ct=1.0)
    with pytest.raises(ValueError, match="max_efpr must be above 0"):
        PsdsRule(Criteria(), max_efpr=0)
