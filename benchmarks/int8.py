# SPDX-License-Identifier: Apache-2.0
"""What 8 bits save and what they cost: file, metric on clips that no weight was learnt from, and speed in turns.

    python -m benchmarks.int8 train SHARED OUT [crnn|rawnet] [SETTING ...]   trains what is not there yet
    python -m benchmarks.int8 table SHARED OUT    exports, scores and times; writes docs/results/int8.json and int8.md

The CRNN learns ESC-10 without fold 4 and is scored on fold 4; rawnet learns spoof's train part without a quarter of
the systems and speakers and is scored on these. Ranges of 8-bit arithmetic are learnt from clips of training.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.leave_out import leave_out, split_systems
from auricle.data.manifest import Manifest
from auricle.evaluation.evaluate import choose_clips, score_manifest
from auricle.files import atomic_write, read_json, write_json
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import open_network
from benchmarks.machine import ROOT, describe, one_thread
from benchmarks.page import machine_line, spell, table
from benchmarks.spoof import Say, lines_of, make_view
from benchmarks.timing import Candidate, take_turns

RESULTS = ROOT / "docs" / "results"
TEST_FOLD, RANGE_FOLD = "4", "1"
TURNS = 4
ROUNDS = 60
#: What was asked for.
MOST_BYTES, MOST_LOSS_POINTS = 0.35, 0.5


def view_of(shared: Path, out: Path, name: str, part: str) -> tuple[Path, str | None]:
    """Return a data set and the fold of it: ``train``, ``ranges`` or ``held``."""
    if name == "crnn":
        return shared / "data/esc10", {"train": None, "ranges": RANGE_FOLD, "held": TEST_FOLD}[part]
    view = out / "train"
    rows = lines_of(shared, "train")
    if not view.is_dir():
        everything = read_manifest(shared / "data/spoof")
        used = {row[1] for row in rows}
        chosen = np.array([i for i, clip in enumerate(everything.clips) if Path(clip.path).stem in used], np.int64)
        turn = leave_out(everything, chosen, split_systems(everything, chosen, TURNS, seed=0), seed=0)[0]
        heard = {Path(everything.clips[i].path).stem for i in turn.train}
        make_view(shared, view, {"train": [row for row in rows if row[1] in heard]})
    if part != "held":
        return view, None
    heard_rows = [line.split() for line in (view / "protocols/train.txt").read_text().splitlines()]
    speakers, systems = {row[0] for row in heard_rows}, {row[3] for row in heard_rows} - {"-"}
    held = [row for row in rows if row[0] not in speakers and row[3] not in systems]
    return make_view(shared, out / "held", {"eval": held}), None


def train(shared: Path, out: Path, name: str, settings: list[str]) -> None:
    """Train one of the models, if it is not there."""
    folder = out / name
    if (folder / "auricle.json").is_file():
        return
    data, _ = view_of(shared, out, name, "train")
    fold = TEST_FOLD if name == "crnn" else None
    resume = folder.is_dir()
    api.train(data, out=folder, model=name, overrides=settings, test_fold=fold, resume=resume, progress=Say())
    write_json(out / f"{name}.json", {"settings": settings, "machine": describe()})


def clips(shared: Path, out: Path, name: str, part: str, labels: tuple[str, ...]) -> Manifest:
    """Return the labelled clips of a part."""
    data, fold = view_of(shared, out, name, part)
    return choose_clips(read_manifest(data, labels=labels), split=None, fold=fold)


def measure(shared: Path, out: Path, name: str) -> dict[str, Any]:
    """Export a copy of a model in 8 bits, and compare both forms on the held clips and by the clock."""
    copy = out / f"{name}-int8"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(out / name, copy, ignore=shutil.ignore_patterns("run"))
    data, fold = view_of(shared, out, name, "ranges")
    result = api.export_int8(copy, data=data, fold=fold)
    bundle = load_bundle(copy)
    networks = {form: open_network(bundle, precision=form) for form in ("float32", "int8")}
    held = clips(shared, out, name, "held", bundle.spec.labels)
    truth = held.targets().argmax(axis=1)
    scores = {form: score_manifest(Detector(bundle, network), held) for form, network in networks.items()}
    window = np.random.default_rng(0).normal(0, 0.1, (1, bundle.spec.window_samples)).astype(np.float32)
    timings = take_turns(
        {form: Candidate(lambda network=network: network.run(window)) for form, network in networks.items()},  # type: ignore[misc]
        rounds=ROUNDS,
        warm_up=5,
        clock=time.thread_time,
    )
    return {
        "parameters": bundle.spec.provenance.parameters,
        "window_s": bundle.spec.window_s,
        "trained": read_json(out / f"{name}.json"),
        "float32_bytes": result.float32_bytes,
        "int8_bytes": result.int8_bytes,
        "arithmetic": result.arithmetic,
        "note": result.note,
        "range_clips": result.clips,
        "clips": len(held),
        "accuracy": {form: round(float((values.argmax(axis=1) == truth).mean()), 5) for form, values in scores.items()},
        "auc": {form: round(auc(values, truth), 5) for form, values in scores.items()} if name == "rawnet" else None,
        "changed_decisions": int((scores["float32"].argmax(axis=1) != scores["int8"].argmax(axis=1)).sum()),
        "largest_change": round(float(np.abs(scores["float32"] - scores["int8"]).max()), 4),
        "timings": {form: timing.to_dict() for form, timing in timings.items()},
    }


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of pairs of two classes that are in order; ties count half."""
    high, low = scores[truth == 1, 1], scores[truth == 0, 1]
    order = np.sign(high[:, None].astype(np.float64) - low[None, :])
    return float((order.mean() + 1) / 2)


def page(found: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows, notes = [], []
    for name, x in found["models"].items():
        ratio = x["int8_bytes"] / x["float32_bytes"]
        losses = {k: 100 * (x[k]["float32"] - x[k]["int8"]) for k in ("accuracy", "auc") if x[k] is not None}
        speed = x["timings"]["int8"]["median_s"] / x["timings"]["float32"]["median_s"]
        figures = "; ".join(f"{k} {x[k]['float32']:.4g} to {x[k]['int8']:.4g}" for k in losses)
        met = ratio <= MOST_BYTES and max(losses.values()) <= MOST_LOSS_POINTS and speed <= 1.05
        cells = (
            f"{x['float32_bytes'] / 1e3:.0f} to {x['int8_bytes'] / 1e3:.0f} kB, **{100 * ratio:.1f} %**",
            f"{figures} ({x['changed_decisions']} of {x['clips']} decisions differ)",
            f"{spell(x['timings']['float32'])} to {spell(x['timings']['int8'])}, **{speed:.2f}**",
            "yes" if met else "no",
        )
        rows.append((f"`{name}`, {x['parameters']:,} weights", *cells))
        trained = x["trained"]
        notes.append(
            f"`{name}`: trained with {' '.join(trained['settings']) or 'its defaults'}"
            + f"; {'8-bit arithmetic' if x['arithmetic'] == 'int8' else '8-bit weights, float arithmetic'}"
            + (f" ({x['note']})" if x["note"] else "")
            + f"; largest change of a score {x['largest_change']:.3g}."
        )
    columns = ("model", "file, front end counted", "on held-out clips", "ms a window, one thread, in turns", "met")
    return (
        "<!-- Written by `python -m benchmarks.int8 table`: measure again, do not edit. -->\n\n# 8 bits\n\n"
        "What `auricle export --int8` saves and costs. Asked for: at most 35 % of the float32 file, at most 0.5 points "
        "lost, no slower on one thread. Neither the weights nor the ranges have seen the held-out clips: ESC-10 fold 4 "
        "(the CRNN learnt folds 1, 2, 3 and 5), and of the spoof corpus's train part a quarter of the systems and of "
        "the speakers (`rawnet` learnt the rest). These models were made for this table; how good they are is not its "
        "subject.\n\n" + table(columns, rows) + "\n" + "".join(f"- {note}\n" for note in notes) + "\nTimes are of this "
        "thread's processor; medians, quartiles in brackets.\n\n" + machine_line(found["machine"]) + "\n"
    )


def main() -> None:
    words = sys.argv[1:]
    if len(words) < 3 or words[0] not in ("train", "table"):
        sys.exit(__doc__)
    shared, out = Path(words[1]), Path(words[2])
    if words[0] == "train":
        names = [word for word in words[3:] if word in ("crnn", "rawnet")] or ["crnn", "rawnet"]
        for name in names:
            train(shared, out, name, [word for word in words[3:] if "=" in word])
        return
    models = {
        name: measure(shared, out, name) for name in ("crnn", "rawnet") if (out / name / "auricle.json").is_file()
    }
    found = {"models": models, "machine": describe(), "niceness": os.nice(0)}
    write_json(RESULTS / "int8.json", found)
    atomic_write(RESULTS / "int8.md", page(found).encode())


if __name__ == "__main__":
    one_thread("benchmarks.int8")
    main()
