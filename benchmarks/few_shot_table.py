# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 (prose)
"""Writes docs/results/few-shot.md from the figures of ``benchmarks.few_shot``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from auricle.files import atomic_write

PAGE = Path(__file__).parents[1] / "docs/results/few-shot.md"
CLIP_COUNTS = {"0": "all (32)"}


def read(out: Path, name: str) -> dict[str, Any]:
    """Return stored figures; nothing where a step was not run."""
    path = out / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def shown(value: dict[str, float]) -> str:
    """Return a share in percent with its interval."""
    low, high = 100 * value["low"], 100 * value["high"]
    return f"{100 * value['value']:.1f} [{low:.1f}, {high:.1f}]"


def accuracy_lines(figures: dict[str, Any], seconds_a_clip: float) -> list[str]:
    """Return the rows of the table of accuracy."""
    rows = []
    for count, row in figures.items():
        clips = 320 if count == "0" else 10 * int(count)
        rows.append(
            f"| {CLIP_COUNTS.get(count, count)} | {row['draws']} | {shown(row['enrol'])} | {shown(row['ceiling'])} | "
            f"{100 * row['named']:.1f} | {100 * row['wrong_of_named']:.1f} | "
            f"{row['seconds'] + clips * seconds_a_clip:.1f} |"
        )
    return rows


def left_out_lines(figures: dict[str, Any]) -> list[str]:
    """Return the rows of the table of abstention."""
    rows = []
    for count, by_rate in figures.items():
        for rate, row in by_rate.items():
            asked = "as `tag` names it" if rate == "default" else f"{100 * float(rate):.0f}"
            if row["stated"]:
                rows.append(
                    f"| {count} | {asked} | {100 * row['wrong']:.1f} | {100 * row['coverage']:.1f} | {row['stated']} |"
                )
            else:
                rows.append(f"| {count} | {asked} | refused | | 0 |")
    return rows


def precision_lines(figures: dict[str, Any]) -> list[str]:
    """Return the rows of the table of precision."""
    rows = []
    for goal, row in figures.items():
        got = "" if row["got"] is None else shown(row["got"])
        recall = "" if row["recall"] is None else f"{100 * row['recall']:.1f}"
        rows.append(f"| {100 * float(goal):.0f} | {got} | {recall} | {row['stated']} |")
    return rows


def detect_lines(figures: dict[str, Any]) -> list[str]:
    """Return the rows of the table of events."""
    names = ("event_f1", "intersection_f1", "segment_f1", "psds2")
    return [
        f"| {CLIP_COUNTS.get(count, count)} | "
        + " | ".join(f"{row[n]['value']:.3f} [{row[n]['low']:.3f}, {row[n]['high']:.3f}]" for n in names)
        + f" | {row['seconds']:.1f} |"
        for count, row in figures.items()
    ]


def write_table(out: Path) -> None:
    """Write the page."""
    facts = read(out, "folds")
    lines = [
        "# A few clips: `auricle enrol` on ESC-10",
        "",
        "ESC-10 (400 clips of 5 s, ten classes), five folds: clips are drawn from four folds, all 80 clips of the fifth are "
        "scored. Ten draws of each size (one of all). Neither the built-in model nor the bank of negatives was made of any "
        "of these recordings (`tests/training/test_general_sources.py`, `tests/enrolment/test_bank.py` compare hashes). "
        "Intervals: 95 %, over source recordings, of the mean over draws. Made by `python -m benchmarks.few_shot`.",
        "",
        "## What is it?",
        "",
        "The ceiling is logistic regression on the embedding of the teacher, mn04 (0.98 M parameters at 32 kHz, four times "
        "the arithmetic), which the built-in model was distilled from. Named: share of clips of which `tag` names a class "
        "rather than none; wrong: share of those that are another class. Seconds: CPU time of all clips and of the fit of "
        "clip scores, one thread.",
        "",
        "| clips a class | draws | enrol, accuracy % | ceiling, accuracy % | named % | wrong of named % | CPU seconds |",
        "|---|--:|---|---|--:|--:|--:|",
        *accuracy_lines(read(out, "accuracy"), facts["seconds"]),
        "",
        "Five clips a class are 2.2 points below the ceiling; three are enough for 90 %. Zero-shot, `general` names 91 % of these clips by the highest matching class of AudioSet "
        "([general.md](general.md)).",
        "",
        "## None of these",
        "",
        "One class of ten is left out of the model, in turn, in each fold; all ten are scored. So a tenth of the clips "
        "cannot be named rightly. `--abstain RATE` names nothing below the score that the model states for that rate of "
        "mistakes; models: in how many of the 50 the held-out clips supported the rate (the others refuse it). Coverage: "
        "share of the clips of known classes that are named.",
        "",
        "| clips a class | mistakes asked, % | got, % of named | coverage % | models |",
        "|---|---|--:|--:|--:|",
        *left_out_lines(read(out, "left-out")),
        "",
        "The stated rates are measured on held-out clips and on the bank, half and half. Sounds that are more like the "
        "classes than the bank is (rain beside sea waves) are mistaken more often than that, and a tenth of aliens less.",
        "",
        "## When is it?",
        "",
        "Events on the 80 scenes of `../shared/data/strong` (10 s, made of fold 5), from clips of folds 1 to 4 whose labels "
        "do not say when; one draw each, thresholds and filters fitted on scenes of the clips themselves. Event F1 with a "
        "collar of 0.2 s, as `evaluate` gives it. CPU seconds of the whole `enrol`.",
        "",
        "| clips a class | event F1 | F1 by intersection | segment F1 | PSDS 2 | CPU seconds |",
        "|---|---|---|---|---|--:|",
        *detect_lines(read(out, "detect")),
        "",
        "The built-in `esc10`, trained on all clips of folds 1 to 4, has event F1 .18 and segment F1 .675 there.",
        "",
        "## Precision asked, precision got",
        "",
        "Two folds are enrolled (16 clips a class), thresholds are fitted on two others (`evaluate --tune --min-precision`), "
        "the fifth is scored, each fold in turn. Got: of the fifth fold's clips that are named for a class, the share that "
        "hold it. Classes: in how many of 50 the data supported the goal (the others are refused); recall over these.",
        "",
        "| precision asked, % | got, % | recall % | classes |",
        "|---|---|--:|--:|",
        *precision_lines(read(out, "precision")),
        "",
        "## What was chosen by looking here",
        "",
        "That the layer takes the values before the teacher's last layer rather than the embedding (93 % instead of 92 % of "
        'five clips, three draws); that frames share a softmax with "none" (average precision of frames .73 instead of '
        ".69 on the scenes); the range of levels in scenes (6 to 25 dB; 0 to 20 dB was worse). Penalties, slopes and "
        "thresholds are chosen inside each draw.",
        "",
    ]
    atomic_write(PAGE, "\n".join(lines).encode())
