# SPDX-License-Identifier: Apache-2.0
"""Is our default no worse than the careless CRNN? Both learn ESC-10 by the same recipe, for the same number of steps.

    python -m experiments.careless_accuracy run SHARED OUT [--network NAME] [--fold K] [--seed S] [--set KEY=VALUE]
    python -m experiments.careless_accuracy table OUT
    python -m experiments.careless_accuracy pack SHARED FOLDER      the data that ``run`` needs, as SHARED elsewhere

    torchrun --standalone --nproc-per-node 2 -m experiments.careless_accuracy run SHARED OUT --network crnn_two

Of folds 1 to 4, one is left out and the last averaged weights score it once; fold 5 is neither heard nor scored, and
nothing is selected. Options may be given several times; what is not named is run for all: three networks, four
folds, three seeds. ``crnn_two`` is our default once more, trained by two processes with half of each batch: batch norms
see the difference, and this says what it costs. Each run has a file of its own in OUT, and what is there is not trained
again, so that many processes may share the work. The networks are those of ``experiments.careless``.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auricle.data.formats.registry import read_manifest
from auricle.data.splits import Split
from auricle.evaluation.intervals import bootstrap_mean
from auricle.files import read_json, write_json
from auricle.progress import Progress
from auricle.training.bundling import Trained, clip_rows
from auricle.training.checkpoint import State
from auricle.training.distributed import ALONE, Group, join_group
from auricle.training.loop import final_weights
from auricle.training.preparation import Material, prepare
from auricle.training.request_recipe import make_request_recipe
from auricle.training.run import fit
from benchmarks.machine import describe
from experiments.careless import OFTEN, register

#: Name in the table: (network, its settings).
NETWORKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "crnn": ("crnn", ()),
    "careless": ("careless", OFTEN),
    "careless_20ms": ("careless", ()),
    "crnn_two": ("crnn", ()),
}
#: What torchrun's processes train together; all else is trained by one.
TOGETHER = {"crnn_two": 2}
WHAT = {
    "crnn": "CRNN, our default",
    "careless": "careless, 25 ms every 10 ms",
    "careless_20ms": "careless, 40 ms every 20 ms",
    "crnn_two": "CRNN, our default, by two processes",
}
FOLDS = ("1", "2", "3", "4")
SEEDS = (0, 1, 2)
#: Neither heard nor scored here.
KEPT_BACK = "5"


@dataclass(frozen=True)
class Run:
    network: str
    fold: str
    seed: int

    def path(self, out: Path) -> Path:
        return out / f"{self.network}-fold{self.fold}-seed{self.seed}.json"


def material_of(shared: Path, settings: Iterable[str]) -> Material:
    """Read folds 1 to 4 and decode them, for all runs of this process."""
    manifest = read_manifest(shared / "data/esc10")
    manifest = manifest.select([i for i, clip in enumerate(manifest.clips) if clip.fold != KEPT_BACK])
    return prepare(manifest, make_request_recipe("crnn", None, settings, None), Progress())


def pack(shared: Path, folder: Path) -> None:
    """Copy folds 1 to 4, and nothing else, to where another machine takes them for SHARED."""
    source, target = shared / "data/esc10", folder / "data/esc10"
    with (source / "esc10.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    kept = [row for row in rows if row[head.index("fold")] != KEPT_BACK]
    for row in kept:
        path = target / row[head.index("filename")]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / row[head.index("filename")], path)
    with (target / "esc10.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *kept])


def train_and_score(run: Run, material: Material, out: Path, settings: list[str], group: Group) -> dict[str, Any]:
    """Train on three folds, score the fourth once; returns what was right, clip by clip."""
    network, own = NETWORKS[run.network]
    words = [*own, *settings, f"task={material.recipe.task}"]
    material = replace(material, recipe=make_request_recipe(network, None, words, run.seed))
    folds = np.array([clip.fold for clip in material.manifest.clips])
    train, test = np.flatnonzero(folds != run.fold), np.flatnonzero(folds == run.fold)
    folder = out / "running" / run.path(out).stem
    if group.leads:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        folder.mkdir(parents=True)
    group.wait()
    state = fit(material, Split(train, test[:0], test[:0]), folder, State(), Progress(), group=group)
    if not group.leads:
        return {}  # the first process has the averaged weights
    trained = Trained(final_weights(state, selected=False), material, run.seed).network()
    scores = np.stack(clip_rows(trained, material, [material.manifest.clips[i] for i in test]))
    right = scores.argmax(1) == material.targets[test].argmax(1)
    shutil.rmtree(folder)
    groups = material.manifest.groups()
    return {
        "accuracy": float(right.mean()),
        "clips": [material.manifest.clips[i].key for i in test],
        "groups": [groups[i] for i in test],
        "right": [bool(value) for value in right],
        "steps": state.step,
        "batch_size": material.recipe.data.batch_size,
        "parameters": sum(p.numel() for p in trained.parameters()),
        "settings": [*own, *settings],
        "processes": group.size,
        "data_hash": material.manifest.data_hash,
        "device": device_name(),
        "machine": describe(),
    }


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def run_missing(shared: Path, out: Path, runs: Iterable[Run], settings: list[str], group: Group = ALONE) -> None:
    """Train what is not in OUT yet, one run after the other."""
    missing = group.first(lambda: [run for run in runs if not run.path(out).is_file()])
    if not missing:
        return
    if wrong := sorted({run.network for run in missing if TOGETHER.get(run.network, 1) != group.size}):
        raise SystemExit(f"{', '.join(wrong)}: not for {group.size} process(es); two of torchrun's train crnn_two")
    out.mkdir(parents=True, exist_ok=True)
    register()
    settings = ["run.threads=1", "data.workers=0", *settings]
    material = material_of(shared, settings)
    for run in missing:
        found = train_and_score(run, material, out, settings, group)
        if not group.leads:
            continue  # what it returned is empty
        write_json(run.path(out), found)
        print(f"{run.network}, without fold {run.fold}, seed {run.seed}: {100 * found['accuracy']:.2f} %", flush=True)


def finished_folds(out: Path, network: str) -> list[str]:
    """Return the folds that a network was trained without, by all seeds."""
    return [fold for fold in FOLDS if all(Run(network, fold, seed).path(out).is_file() for seed in SEEDS)]


def right_of(out: Path, network: str, folds: Sequence[str]) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """Return what a network got right ``(seed, clip)``, the clips' groups, and the facts of a run.

    Clips are in the order of the folds.
    """
    found = [[read_json(Run(network, fold, seed).path(out)) for fold in folds] for seed in SEEDS]
    if any([r["clips"] for r in row] != [r["clips"] for r in found[0]] for row in found):
        raise SystemExit(f"{out}: the runs of {network} scored different clips; take one OUT for one data set")
    right = np.array([[value for r in row for value in r["right"]] for row in found], np.float64)
    return right, [group for r in found[0] for group in r["groups"]], found[0][0]


def verdict(low: float, high: float) -> str:
    return "better beyond chance" if low > 0 else "worse beyond chance" if high < 0 else "no difference beyond chance"


def table(out: Path) -> str:
    """Return the table in Markdown: accuracy of each network, and ours minus each other one, on folds that all have."""
    finished = {name: folds for name in NETWORKS if (folds := finished_folds(out, name))}
    folds = [fold for fold in FOLDS if finished and all(fold in done for done in finished.values())]
    found = {name: right_of(out, name, folds) for name in finished} if folds else {}
    lines = [
        "| network | weights | steps | accuracy %, mean ± standard deviation over seeds | each seed "
        "| ours minus it, points [95 %] | ours is |",
        "|---|--:|--:|--:|---|--:|---|",
    ]
    ours = found.get("crnn")
    for name, (right, groups, facts) in found.items():
        each = [100 * float(row.mean()) for row in right]
        spread = np.std(each, ddof=1) if len(each) > 1 else 0.0
        gain, how = "", ""
        if name != "crnn" and ours is not None:
            if ours[1] != groups:
                raise SystemExit(f"{out}: crnn and {name} scored different clips; take one OUT for one data set")
            apart = bootstrap_mean(ours[0] - right, groups)
            gain = f"{100 * apart.value:+.1f} [{100 * apart.low:+.1f}, {100 * apart.high:+.1f}]"
            how = verdict(apart.low, apart.high)
        shown = f"**{np.mean(each):.1f} ± {spread:.1f}**"
        seeds = ", ".join(f"{value:.2f}" for value in each)
        cells = [WHAT[name], f"{facts['parameters']:,}", f"{facts['steps']:,}", shown, seeds, gain, how]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\n{WHAT[name]}: not measured yet." for name in NETWORKS if name not in found]
    if found:
        right, groups, facts = next(iter(found.values()))
        machine = facts["machine"]
        lines += [
            "",
            f"Without fold {', '.join(folds)} in turn: {right.shape[1]} clips of {len(set(groups))} source recordings "
            f"(the bootstrap draws those); batches of "
            f"{facts['batch_size']}, settings over the defaults `{' '.join(facts['settings'])}`; {facts['device']}, "
            f"torch {machine.get('torch')}, commit `{machine['commit']}`, data `{facts['data_hash'][:16]}`.",
        ]
    return "\n".join(lines)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="what", required=True)
    run = kinds.add_parser("run", help="train what is missing")
    run.add_argument("shared", type=Path)
    run.add_argument("out", type=Path)
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="over the recipe")
    run.add_argument("--network", action="append", choices=list(NETWORKS))
    run.add_argument("--fold", action="append", choices=FOLDS)
    run.add_argument("--seed", action="append", type=int)
    shown = kinds.add_parser("table", help="print the table")
    shown.add_argument("out", type=Path)
    packed = kinds.add_parser("pack", help="copy the data that run needs")
    packed.add_argument("shared", type=Path)
    packed.add_argument("out", type=Path)
    options = parser.parse_args(words)
    if options.what == "table":
        print(table(options.out))
        return
    if options.what == "pack":
        pack(options.shared, options.out)
        return
    with join_group() as group:
        mine = [name for name in NETWORKS if TOGETHER.get(name, 1) == group.size]
        chosen = product(options.network or mine, options.fold or FOLDS, options.seed or SEEDS)
        run_missing(options.shared, options.out, [Run(*each) for each in chosen], options.set, group)


if __name__ == "__main__":
    main()
