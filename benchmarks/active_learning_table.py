# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 (prose)
"""Writes docs/results/active-learning.md from the figures of ``benchmarks.active_learning``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from auricle.enrolment.backbone import open_backbone
from auricle.files import atomic_write, sha256_file
from auricle.results import Interval
from benchmarks.active_learning import BATCH, CHECKS, EXAMPLES, MAYBE, SEEDS, intervals

PAGE = Path(__file__).parents[1] / "docs/results/active-learning.md"


def shown(value: Interval, sign: str = "") -> str:
    """Return a share in percent with its interval."""
    return f"{100 * value.value:{sign}.1f} [{100 * value.low:{sign}.1f}, {100 * value.high:{sign}.1f}]"


def rows_of(found: dict[str, Any]) -> list[str]:
    """Return the rows of the table of one test fold."""
    truth = np.array(found["truth"]) == 1
    groups = [Path(name).name.split("-")[1] for name in found["clips"]]
    named = {order: np.array(found[order]["named"]) for order in ("queue", "random")}
    lines = []
    for k, check in enumerate(CHECKS):
        for order in ("queue", "random"):
            if check == 0 and order == "random":
                continue
            recall, precision, f1 = intervals(named[order][k], truth, groups)
            gain = ""
            if order == "queue" and check:
                gain = shown(intervals(named["queue"][k], truth, groups, named["random"][k])[2], "+")
            label = order if check else "neither yet"
            lines.append(
                f"| {check} | {label} | {found[order]['examples'][k]:.1f} | {shown(recall)} | {shown(precision)} | "
                f"{shown(f1)} | {gain} |"
            )
    return lines


def write_table(out: Path) -> None:
    """Write the page."""
    found = json.loads((out / "loops-5.json").read_text())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    head = (
        "| verdicts | order | examples then | recall % | precision % | F1 % | F1, queue above random |\n"
        "|--:|---|--:|---|---|---|---|\n"
    )
    text = f"""# Does the studio's queue pay?

A simulated user labels a folder with `auricle studio`: for each class of ESC-10 five examples are given, then windows of 2 s are judged, {BATCH} at a time, and the class is taught anew. The queue of the studio (`studio/selection.py`: least sure, surest, random ones of strata) stands against windows in random order; candidates, held-out scores and fits are the studio's own. Recall and precision are those of `tag` at 0.5 on fold 5, which is in no folder: ten classes together (8 of 80 clips are of each), {SEEDS} seeds (other examples, other random numbers); intervals: 95 %, over source recordings, of the mean over seeds.

The folder: folds 1 to 4 of ESC-10 and 500 other sounds (the first of `shared/data/pool`), {found["recordings"]:,} recordings, {found["windows"]:,} windows. A window is `yes` if its clip is of the class and sounds there, `unsure` if the clip is of the class and silent there. The pool has no labels: `unsure` where the teacher mn04 gives {MAYBE} or more for the class, else `no`. The {EXAMPLES} examples count as no verdict.

{head}{chr(10).join(rows_of(found))}

What is gained is precision: the queue asks about what is mistaken for the class, of which random windows, most of them far from it, say little. Recall does not rise above that of five examples, in either order.

Examples then: five given, and those confirmed by then. What was measured is the clip score; thresholds of events are not in it.

The network is the built-in `general` ({open_backbone().sha256[:12]}).

Command: `python -m benchmarks.active_learning vectors SHARED OUT`, `run OUT 5`, `table OUT`; commit {commit.strip()}; vectors {sha256_file(out / "windows.npz")[:12]}; {found["seconds"]:.0f} CPU seconds for all {2 * SEEDS * 10} loops. Fold 5 was scored once.
"""
    text += """
## What was looked at before

On fold 4, with folds 1 to 3 and the same pool as the folder, two seeds, F1 % of the queue after 10, 20, 50 and 100 verdicts: 84.8, 90.5, 88.3, 89.7 and 91.6, 89.9, 88.9, 86.7. Recall fell while precision rose: one window that was refused weighed as much as all examples. Since then negatives weigh no more than as many examples do (`enrolment/heads.py`): 85.0, 87.7, 92.1, 92.6 and 90.7, 91.6, 90.8, 90.5. Letting them share the weight of the bank instead cost precision at first (84.1, 91.1, 92.1, 92.7 and 84.0, 88.8, 92.9, 91.3). The queue itself was left as it was written.
"""
    atomic_write(PAGE, text.encode())
