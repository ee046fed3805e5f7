# SPDX-License-Identifier: Apache-2.0
"""The figures of sound event detection are those of the package sed-scores-eval (``scripts/make_sed_golden.py``)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.psds_reference import detect
from helpers.sed_cases import CASES, GOLDEN, LABELS, THRESHOLD, Case, fingerprint, make_case

from auricle.evaluation.events.intersections import intersection_counts
from auricle.evaluation.events.metrics import event_counts, segment_counts
from auricle.evaluation.events.psds import PSDS1, PSDS2, PsdsRule, psds
from auricle.evaluation.metrics import f1_from_counts
from auricle.results import Event

RULES = {
    "psds1": PSDS1,
    "psds2": PSDS2,
    "psds1_wide": PsdsRule(PSDS1.criteria, 0.0, 1.0, 10_000),
    "psds2_wide": PsdsRule(PSDS2.criteria, 0.5, 1.0, 10_000),
}
COUNTS = {"intersection_f1": intersection_counts, "event_f1": event_counts, "segment_f1": segment_counts}
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def golden():
    cases = json.loads(GOLDEN.read_text("utf-8"))["cases"]
    assert len(cases) == CASES
    return cases


def test_the_cases_are_those_of_the_golden_figures(golden):
    for seed, expected in enumerate(golden):
        assert fingerprint(make_case(seed)) == expected["fingerprint"], "numpy draws others: run make_sed_golden.py"


@pytest.mark.parametrize("name", RULES)
def test_psds(golden, name: str):
    for seed, expected in enumerate(golden):
        case, wanted = make_case(seed), dict(expected[name])
        result = psds(case.scores, case.truth, case.durations, RULES[name])
        assert result.value == pytest.approx(wanted.pop("value"), abs=TOLERANCE), seed
        assert {k: v for k, v in result.per_class.items() if v is not None} == pytest.approx(wanted, abs=TOLERANCE)


def found_events(case: Case, name: str) -> list[Event]:
    scores = case.scores[name]
    spans = [(label, *span) for label in LABELS for span in detect(scores, label, THRESHOLD, case.durations[name])]
    return [Event(label, round(float(a), 5), round(float(b), 5), 1.0) for label, a, b in spans]


@pytest.mark.parametrize("name", COUNTS)
def test_f1(golden, name: str):
    differ = []
    for seed, expected in enumerate(golden):
        case, counts = make_case(seed), np.zeros((len(LABELS), 3), np.int64)
        for recording in case.durations:
            counts += COUNTS[name](case.truth[recording], found_events(case, recording), LABELS)
        for label, value in zip(LABELS, f1_from_counts(counts), strict=True):
            if value is not None and abs(value - expected[name][label]) > TOLERANCE:
                differ.append((seed, label, value, expected[name][label]))
    assert differ == []


def test_the_cases_say_something(golden):
    for name in RULES:
        values = np.array([case[name]["value"] for case in golden])
        assert ((values > 0) & (values < 1)).mean() > 0.4, name
