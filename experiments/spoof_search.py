# SPDX-License-Identifier: Apache-2.0
"""The recipe of the row ``crnn`` of the table of synthetic voices, chosen as that of ``rawnet`` was: inside train.

    python -m experiments.spoof_search pack SHARED FOLDER            the train part alone, as SHARED of another machine
    python -m experiments.spoof_search search SHARED OUT [--only NAME] [--fold K] [--part I/N]
    python -m experiments.spoof_search table OUT                     every candidate, the chosen one in bold
    python -m experiments.spoof_search run SHARED OUT                the row's three seeds with the chosen settings

Dev is not read, and system S04 is in nothing. Each of four folds leaves out a pair of systems *and* a quarter of the
speakers, the folds of the second look at ``rawnet`` (docs/results/spoof-recipe.md); the last averaged weights score
recordings of which neither the system nor the speaker was heard. Two figures, in percent:

    unseen EER    all of those recordings
    balanced      mean area under the ROC curve over all pairs of a held person and a held system; 50 is chance

Said before anything was measured: a candidate's merit is *balanced minus unseen EER*, mean over folds, seed 0. All are
looked at on the first two folds; the four with the largest merit there run on the other two as well, and the one with
the largest merit over all four folds is chosen. Each run is a file of its own in OUT/search; what is there is not run
again, so that processes may share the work: ``--part 1/12`` takes every twelfth run. The settings of ``rawnet`` run on
the same folds to compare, and are never chosen.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auricle.data.formats.registry import read_manifest
from auricle.data.leave_out import leave_out
from auricle.data.manifest import Manifest
from auricle.data.splits import Fold, Split
from auricle.evaluation.spoof.intervals import Trials
from auricle.evaluation.spoof.metrics import equal_error_rate
from auricle.evaluation.spoof.report import trials_of
from auricle.files import read_json, write_json
from auricle.progress import Progress
from auricle.runtime.llr import raw_llr
from auricle.training.bundling import Trained, clip_rows
from auricle.training.checkpoint import State
from auricle.training.loop import final_weights
from auricle.training.preparation import Material, prepare
from auricle.training.request_recipe import make_request_recipe
from auricle.training.run import fit
from benchmarks import spoof
from benchmarks.machine import describe
from experiments.careless_accuracy import device_name

PAIRS = (("S03", "S09"), ("S05", "S06"), ("S01", "S08"), ("S02", "S07"))
FOLD_SEED = 100
SEED = 0
#: Folds of the first look, and how many candidates have a second one, on the others.
FIRST, SECOND = (0, 1), (2, 3)
FINALISTS = 4
HOW = ("run.threads=1", "data.workers=0", "run.precision=float32")
#: What `rawnet` has, as far as a log-mel network has it too.
LIKE_RAWNET = (
    *("data.balance=groups", "model.dropout=0.15", "augment.mixup_alpha=0", "augment.shift=false"),
    *("augment.speed=[0.87,1.15]", "augment.gain_db=6", "augment.noise_snr_db=[5,40]", "augment.noise_share=0.3"),
    *("optim.lr=0.004", "optim.weight_decay=0.05", "optim.epochs=10", "optim.warmup_steps=40", "optim.ema=0.98"),
)
FINE = ("frontend.window_ms=25", "frontend.hop_ms=10")


@dataclass(frozen=True)
class Candidate:
    what: str
    settings: tuple[str, ...]
    model: str = "crnn"


def _like(what: str, *settings: str) -> Candidate:
    return Candidate(f"like, and {what}", (*LIKE_RAWNET, *settings))


CANDIDATES: Mapping[str, Candidate] = {
    "plain": Candidate("the default recipe, ten epochs", ("optim.epochs=10",)),
    "like": Candidate("what `rawnet` has, as far as a log-mel network has it", LIKE_RAWNET),
    "fine": _like("windows of 25 ms every 10 ms", *FINE),
    "mixup02": _like("mixup of 0.2", "augment.mixup_alpha=0.2"),
    "mixup05": _like("mixup of 0.5", "augment.mixup_alpha=0.5"),
    "slow": _like("peak learning rate 0.0015", "optim.lr=0.0015"),
    "short": _like("5 epochs", "optim.epochs=5"),
    "masks": _like("two masks of 16 mels", "augment.freq_mask_mels=16", "augment.masks=2"),
    "dropout": _like("dropout 0.4", "model.dropout=0.4"),
    "noise": _like("noise in 60 %, gain of 12 dB", "augment.noise_share=0.6", "augment.gain_db=12"),
    "steady": _like("no change of speed", "augment.speed=[1,1]"),
    "narrow": _like("half the channels", "model.width=0.5"),
    "telephone": _like("nothing above 4 kHz", "frontend.f_max=4000"),
}
COMPARED = {"rawnet": Candidate("`rawnet` itself", (), "rawnet")}
EVERYTHING: Mapping[str, Candidate] = {**CANDIDATES, **COMPARED}


@dataclass(frozen=True)
class Run:
    name: str
    fold: int

    def path(self, out: Path) -> Path:
        return out / "search" / f"{self.name}-fold{self.fold}.json"


def all_runs(names: Iterable[str], folds: Iterable[int]) -> list[Run]:
    """Return the runs, one fold after the other: whoever stops early has whole folds."""
    return [Run(name, fold) for fold, name in product(folds, names)]


# --- the folds and their figures


def view_of(shared: Path, out: Path) -> Path:
    """Lay out train without S04 and without dev; several processes may come here at once."""
    view = out / "train"
    if not view.is_dir():
        mine = spoof.make_view(shared, out / f"train-{os.getpid()}", {"train": spoof.lines_of(shared, "train")})
        try:
            mine.rename(view)
        except OSError:
            shutil.rmtree(mine)  # another process was faster
    return view


def turns_of(manifest: Manifest) -> tuple[Fold, ...]:
    return leave_out(manifest, np.arange(len(manifest), dtype=np.int64), PAIRS, FOLD_SEED)


def settings_of(candidate: Candidate) -> list[str]:
    """Return the settings of a candidate over the defaults of its network."""
    return [*(spoof.WINDOWS if candidate.model == "crnn" else ()), *HOW, *candidate.settings]


def area(bonafide: np.ndarray, fake: np.ndarray) -> float:
    """Return how often a bona fide recording has the higher score, ties as one half: the area under the ROC curve."""
    apart = bonafide[:, None] - fake[None, :]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def fold_figures(trials: Trials, scores: np.ndarray) -> dict[str, Any]:
    """Return the figures of what a fold left out, in percent; ``scores`` are higher for bona fide, ``(trial,)``."""
    groups, systems = np.array(trials.speakers), np.array(trials.systems)
    human = scores[trials.bonafide]
    people = [scores[trials.bonafide & (groups == name)] for name in sorted(set(groups[trials.bonafide]))]
    fakes = {name: scores[systems == name] for name in trials.attacks}
    pairs = [area(person, fake) for person in people for fake in fakes.values()]
    return {
        "eer": 100 * equal_error_rate(human, scores[~trials.bonafide]),
        "balanced": 100 * float(np.mean(pairs)),
        "systems": {name: 100 * equal_error_rate(human, fake) for name, fake in fakes.items()},
    }


# --- searching


def train_and_score(run: Run, material: Material, turn: Fold, folder: Path) -> dict[str, Any]:
    """Train a candidate on a fold, score what was left out."""
    candidate = EVERYTHING[run.name]
    settings = [*settings_of(candidate), f"task={material.recipe.task}"]
    material = replace(material, recipe=make_request_recipe(candidate.model, None, settings, SEED))
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    state = fit(material, Split(turn.train, turn.test[:0], turn.test[:0]), folder, State(), Progress())
    trained = Trained(final_weights(state, selected=False), material, SEED).network()
    if torch.cuda.is_available():
        trained.to("cuda")
    held = material.manifest.select(turn.test)
    scores = raw_llr(np.stack(clip_rows(trained, material, held.clips)), material.manifest.labels)
    shutil.rmtree(folder)
    return {
        **fold_figures(trials_of(held), scores),
        "left_out": list(PAIRS[run.fold]),
        "steps": state.step,
        "batch_size": material.recipe.data.batch_size,
        "parameters": sum(p.numel() for p in trained.parameters()),
        "settings": settings_of(candidate),
        "data_hash": material.manifest.data_hash,
        "device": device_name(),
        "machine": describe(),
    }


def search(shared: Path, out: Path, runs: Iterable[Run]) -> None:
    """Do what is not in OUT yet, one run after the other."""
    missing = [run for run in runs if not run.path(out).is_file()]
    if not missing:
        return
    manifest = read_manifest(view_of(shared, out))
    base = make_request_recipe("crnn", None, settings_of(CANDIDATES["plain"]), None)
    material, turns = prepare(manifest, base, Progress()), turns_of(manifest)
    for run in missing:
        if run.path(out).is_file():
            continue  # another process was faster
        found = train_and_score(run, material, turns[run.fold], out / "running" / run.path(out).stem)
        run.path(out).parent.mkdir(parents=True, exist_ok=True)
        write_json(run.path(out), found)
        shown = f"unseen EER {found['eer']:.1f} %, balanced {found['balanced']:.1f} %"
        print(f"{run.name}, without {', '.join(PAIRS[run.fold])}: {shown}", flush=True)


# --- choosing


def found_of(out: Path, name: str) -> dict[int, dict[str, Any]]:
    """Return what was measured of a candidate, by fold."""
    paths = {fold: Run(name, fold).path(out) for fold in range(len(PAIRS))}
    return {fold: read_json(path) for fold, path in paths.items() if path.is_file()}


def merit(found: Mapping[int, Mapping[str, Any]], folds: Iterable[int]) -> float:
    """Return what a candidate is judged by."""
    return float(np.mean([found[fold]["balanced"] - found[fold]["eer"] for fold in folds]))


def finalists(out: Path) -> list[str] | None:
    """Return who has a second look, the best first; None if the first one is not complete."""
    found = {name: found_of(out, name) for name in CANDIDATES}
    if not all(set(FIRST) <= set(got) for got in found.values()):
        return None
    return sorted(found, key=lambda name: -merit(found[name], FIRST))[:FINALISTS]


def best(out: Path) -> str:
    """Return the chosen candidate."""
    names = finalists(out)
    found = {name: found_of(out, name) for name in names or ()}
    if names is None or not all(len(got) == len(PAIRS) for got in found.values()):
        sys.exit(f"{out}/search is not complete; search first")
    return max(names, key=lambda name: merit(found[name], FIRST + SECOND))


def table(out: Path) -> str:
    """Return all candidates in Markdown, the best first."""
    chosen = best(out)
    found = {name: got for name in EVERYTHING if (got := found_of(out, name))}
    heads = ["candidate", "recipe: settings over the default", "weights", "steps", "merit, first two folds"]
    heads += ["merit, all folds", *(f"EER % / balanced % without {', '.join(pair)}" for pair in PAIRS)]
    rows = []
    for name in sorted(found, key=lambda name: (name in COMPARED, -len(found[name]), -merit(found[name], found[name]))):
        runs = found[name]
        candidate, bold = EVERYTHING[name], "**" if name == chosen else ""
        own = [word for word in candidate.settings if word not in LIKE_RAWNET]
        steps = sorted({run["steps"] for run in runs.values()})
        cells = [f"{bold}{name}{bold}", f"{candidate.what}{': ' if own else ''}{' '.join(f'`{w}`' for w in own)}"]
        cells += [f"{runs[FIRST[0]]['parameters']:,}", f"{steps[0]} to {steps[-1]}", f"{merit(runs, FIRST):.1f}"]
        cells.append(f"{bold}{merit(runs, runs):.1f}{bold}" if len(runs) == len(PAIRS) else "")
        each = (runs.get(fold) for fold in range(len(PAIRS)))
        rows.append([*cells, *("" if run is None else f"{run['eer']:.1f} / {run['balanced']:.1f}" for run in each)])
    facts = found[chosen][0]
    crops = sum(r["steps"] * r["batch_size"] for got in found.values() for r in got.values())
    return "\n".join(
        [
            *spoof.markdown(heads, rows),
            "",
            f"{crops:,} crops in all, {facts['device']}, torch {facts['machine'].get('torch')}, commit "
            f"`{facts['machine']['commit']}`, data `{facts['data_hash'][:16]}`.",
            f"`like` is `{' '.join(LIKE_RAWNET)}`.",
        ]
    )


def run_chosen(shared: Path, out: Path) -> None:
    """Train the three seeds of the row with the chosen settings, and calibrate them."""
    name = best(out)
    print(f"chosen: {name}", flush=True)
    view_of(shared, out)
    spoof.run(shared, out, "crnn", [*HOW, *CANDIDATES[name].settings])


# --- the command


def part_of(runs: list[Run], part: str) -> list[Run]:
    """Return every N-th run: ``I/N`` with I from 1 to N."""
    number, _, count = part.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        sys.exit(f"--part {part}: got no I/N with I from 1 to N; give 1/12 for the first of twelve")
    return runs[int(number) - 1 :: int(count)]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("pack", "search", "run", "table"):
        one = kinds.add_parser(kind)
        if kind != "table":
            one.add_argument("shared", type=Path)
        one.add_argument("out", type=Path)
        if kind == "search":
            one.add_argument("--only", action="append", choices=list(EVERYTHING), metavar="NAME")
            one.add_argument("--fold", action="append", type=int, choices=range(len(PAIRS)))
            one.add_argument("--part", default="1/1", metavar="I/N")
    options = parser.parse_args(words)
    out = options.out.resolve()
    if options.kind == "pack":
        lines = {"train": spoof.lines_of(options.shared, "train")}
        (out / "data").mkdir(parents=True, exist_ok=True)
        spoof.make_view(options.shared, out / "data/spoof", lines)
    elif options.kind == "search":
        names, folds = options.only or list(EVERYTHING), options.fold or range(len(PAIRS))
        first = [fold for fold in folds if fold in FIRST]
        search(options.shared, out, part_of(all_runs(names, first), options.part))
        names = options.only or [*(finalists(out) or ()), *COMPARED]
        second = [fold for fold in folds if fold in SECOND]
        search(options.shared, out, part_of(all_runs(names, second), options.part))
    elif options.kind == "run":
        run_chosen(options.shared, out)
    else:
        print(table(out))


if __name__ == "__main__":
    main()
