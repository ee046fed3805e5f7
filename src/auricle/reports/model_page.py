# SPDX-License-Identifier: Apache-2.0
"""One page about one model: how it learnt, how good it is and where it errs, what it costs, and where it comes from."""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auricle import __version__
from auricle.evaluation.evaluate import score_manifest
from auricle.evaluation.held_out import Chosen
from auricle.evaluation.paired import agreement, paired_metrics
from auricle.evaluation.report import make_report
from auricle.reports.answers import answer_chart, answer_questions
from auricle.reports.figures import (
    Scored,
    calibration_chart,
    class_rows,
    confusion,
    detection_error_chart,
    learning_charts,
    precision_chart,
)
from auricle.reports.mistakes import worst_mistakes
from auricle.reports.page import require_jinja, write_page
from auricle.reports.palette import hue_of
from auricle.results import Interval
from auricle.runtime.bundle import Bundle, trained_clips
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import open_network
from auricle.runtime.spec import ONNX_FILES

_TIMED_RUNS = 9


def model_page(path: Path, bundle: Bundle, chosen: Chosen | None = None, against: Bundle | None = None) -> None:
    """Write the self-contained HTML page of a model.

    Args:
        path: file to write.
        bundle: the model; its ``run/`` is looked at for how it learnt.
        chosen: labelled clips that it is measured on; without any, the page shows what the folder knows.
        against: a model of the same classes that is measured beside it, on the same clips.

    Raises:
        UsageError: jinja2 is not installed.
        InputError: a clip cannot be read.
    """
    require_jinja()
    spec = bundle.spec
    log = bundle.path / "run" / "log.csv"
    write_page(
        path,
        "model.html",
        title=spec.name,
        version=__version__,
        spec=spec,
        learning=learning_charts(log.read_text(encoding="utf-8")) if log.is_file() else [],
        stored=_stored_result(bundle),
        measured=None if chosen is None else _measure(bundle, chosen, against),
        cost=_cost(bundle),
        provenance=_provenance(bundle),
        recipe=json.dumps(spec.provenance.recipe, indent=2),
    )


def _measure(bundle: Bundle, chosen: Chosen, against: Bundle | None) -> dict[str, Any]:
    """Score the data and return all that the page shows of it."""
    manifest = chosen.manifest
    detector = Detector(bundle, open_network(bundle))
    scored = Scored(manifest, score_manifest(detector, manifest), manifest.targets())
    mistakes, wrong = worst_mistakes(scored)
    answers = [] if bundle.spec.is_spoof else answer_questions(detector, manifest, scored.targets)
    return {
        "answers": answers,
        "against": None if against is None else _compare(scored, against),
        "answer_chart": answer_chart(answers),
        "metrics": make_report([scored.scores], manifest).metrics,
        "rows": class_rows(scored),
        "hues": {label: hue_of(i) for i, label in enumerate(manifest.labels)},
        "names": scored.names,
        "confusion": confusion(scored),
        "precision": precision_chart(scored),
        "det": detection_error_chart(scored),
        "calibration": calibration_chart(scored),
        "mistakes": mistakes,
        "wrong": wrong,
        "n": len(manifest),
        "note": chosen.note,
        "trained_on": chosen.trained_on,
        "unreadable": chosen.unreadable,
        "data": manifest.name,
        "data_hash": manifest.data_hash,
    }


def _compare(scored: Scored, against: Bundle) -> dict[str, Any]:
    """Score the other model on the same clips and return what the page shows of both."""
    detector = Detector(against, open_network(against))
    columns = [detector.labels.index(label) for label in scored.manifest.labels]
    other = score_manifest(detector, scored.manifest)[:, columns]
    task, groups = scored.manifest.task, scored.manifest.groups()
    answers = [] if against.spec.is_spoof else answer_questions(detector, scored.manifest, scored.targets)
    return {
        "name": against.spec.name,
        "unknown": trained_clips(against) is None,
        "answers": {answer.label: answer for answer in answers},
        "metrics": paired_metrics(scored.scores, other, scored.targets, groups, task),
        "agreement": agreement(scored.scores, other, scored.targets, task),
    }


def _stored_result(bundle: Bundle) -> dict[str, Interval]:
    """Return the test figures that training left behind; empty if there are none."""
    path = bundle.path / "run" / "result.json"
    if not path.is_file():
        return {}
    test = json.loads(path.read_text(encoding="utf-8")).get("test")
    return {} if test is None else {name: Interval(**values) for name, values in test["metrics"].items()}


def _cost(bundle: Bundle) -> dict[str, str]:
    """Return what the model costs, as texts by name."""
    spec = bundle.spec
    cost = {"weights": f"{spec.provenance.parameters:,}"}
    if importlib.util.find_spec("onnx") is not None:
        from auricle.exporting.cost import count_multiply_adds  # noqa: PLC0415 (needs onnx, an extra)

        count = count_multiply_adds(bundle.read(ONNX_FILES["float32"]), spec.window_samples)
        cost["multiply-adds"] = f"{count / 1e6:,.0f} million for a window of {spec.window_s:g} s"
    for precision, name in ONNX_FILES.items():
        if name in bundle:
            size = len(bundle.read(name)) / 1000
            cost[precision] = f"{size:,.0f} kB, {_window_ms(bundle, precision):.1f} ms a window on one thread here"
    return cost


def _window_ms(bundle: Bundle, precision: str) -> float:
    """Return the median time of a window: of this thread's processor, so that other work does not count."""
    network = open_network(bundle, precision=precision)
    window = np.zeros((1, bundle.spec.window_samples), np.float32)
    times = []
    for _ in range(_TIMED_RUNS):
        start = time.thread_time()
        network.run(window)
        times.append(1000 * (time.thread_time() - start))
    return statistics.median(times)


def _provenance(bundle: Bundle) -> Mapping[str, str]:
    """Return where the model comes from, as texts by name; what is not known is left out."""
    p = bundle.spec.provenance
    facts = {
        "data": f"{p.data_name} ({p.data_form})" if p.data_name else "",
        "data hash": p.data_hash,
        "licence of the data": p.license,
        "attribution": p.attribution,
        "seeds": ", ".join(map(str, p.seeds)),
        "made": p.created,
        "versions": ", ".join(f"{name} {version}" for name, version in p.versions.items()),
        **{f"SHA-256 of {name}": value for name, value in bundle.spec.sha256.items()},
    }
    return {name: text for name, text in facts.items() if text}
