# SPDX-License-Identifier: Apache-2.0
"""Figures of 100 random cases by the package sed-scores-eval, for ``tests/evaluation/test_sed_golden.py``.

    pip install "sed-scores-eval==0.0.4" "pandas<3" "setuptools<81" matplotlib
    PYTHONPATH=src:tests python scripts/make_sed_golden.py

The package is not among the development dependencies: it needs setuptools below 81 and seventeen packages more. Only
its figures are kept. Labels without a true event are not given to it: it would call their share of events found 0.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import numpy as np
from helpers.sed_cases import CASES, GOLDEN, LABELS, STEP_S, THRESHOLD, Case, fingerprint, make_case
from sed_scores_eval import collar_based, intersection_based, segment_based
from sed_scores_eval.base_modules.scores import create_score_dataframe

from auricle.evaluation.events.psds import PSDS1, PSDS2, PsdsRule


def psds_of(case: Case, scores: dict, truth: dict, rule: PsdsRule) -> dict:
    """Return the PSDS over labels and that of each."""
    criteria = rule.criteria
    value, per_class, _, _ = intersection_based.psds(
        scores,
        truth,
        case.durations,
        dtc_threshold=criteria.dtc,
        gtc_threshold=criteria.gtc,
        cttc_threshold=criteria.cttc,
        alpha_ct=rule.alpha_ct,
        alpha_st=rule.alpha_st,
        max_efpr=rule.max_efpr,
    )
    return {"value": float(value), **{label: float(v) for label, v in per_class.items()}}


def figures(case: Case) -> dict:
    """Return all figures of a case, those over labels first."""
    known = [label for label in LABELS if any(e.label == label for events in case.truth.values() for e in events)]
    truth = {name: [(e.onset, e.offset, e.label) for e in events] for name, events in case.truth.items()}
    scores = {}
    for name, frames in case.scores.items():
        edges = np.arange(len(frames.values) + 1) * STEP_S
        columns = frames.values[:, [LABELS.index(label) for label in known]]
        scores[name] = create_score_dataframe(columns, edges, known)
    shares = {"dtc_threshold": 0.5, "gtc_threshold": 0.5}
    collars = {"onset_collar": 0.2, "offset_collar": 0.2, "offset_collar_rate": 0.2}
    found = {
        "intersection_f1": intersection_based.fscore(scores, truth, THRESHOLD, **shares)[0],
        "event_f1": collar_based.fscore(scores, truth, THRESHOLD, **collars)[0],
        "segment_f1": segment_based.fscore(scores, truth, case.durations, THRESHOLD, segment_length=1.0)[0],
    }
    return {
        "fingerprint": fingerprint(case),
        **{name: {label: float(v) for label, v in values.items() if label in known} for name, values in found.items()},
        "psds1": psds_of(case, scores, truth, PSDS1),
        "psds2": psds_of(case, scores, truth, PSDS2),
        "psds1_wide": psds_of(case, scores, truth, PsdsRule(PSDS1.criteria, 0.0, 1.0, 10_000)),
        "psds2_wide": psds_of(case, scores, truth, PsdsRule(PSDS2.criteria, 0.5, 1.0, 10_000)),
    }


def main() -> None:
    """Write the file."""
    cases = [figures(make_case(seed)) for seed in range(CASES)]
    made = {"package": f"sed-scores-eval {version('sed-scores-eval')}", "numpy": np.__version__}
    lines = ",\n".join(json.dumps(case) for case in cases)
    GOLDEN.write_text(f'{{"made_by": {json.dumps(made)}, "cases": [\n{lines}\n]}}\n', "utf-8")
    sys.stdout.write(f"{GOLDEN}: {CASES} cases\n")


if __name__ == "__main__":
    main()
