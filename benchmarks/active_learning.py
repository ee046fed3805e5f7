# SPDX-License-Identifier: Apache-2.0
"""Does it pay to be asked by the studio? A simulated user answers its queue, or windows in random order.

    python -m benchmarks.active_learning vectors SHARED OUT    vectors of windows, and what mn04 hears in the pool
    python -m benchmarks.active_learning run OUT FOLD          a loop for each class, seed and order; FOLD is the test
    python -m benchmarks.active_learning table OUT             writes docs/results/active-learning.md

The folder holds the clips of ESC-10 outside of the test fold (folds 1 to 4 for the test fold 5; 1 to 3 for fold 4, on
which the queue was chosen) and 500 other sounds of the pool. A class begins with five examples. Then ten windows of
2 s at a time are judged: `yes` if the clip is of the class and sounds there. The pool has no labels: what mn04 gives
0.1 or more for the class is answered `unsure`, all else `no`. Queue, candidates, held-out scores and the fit of clip
scores are those of `auricle.studio` and `auricle.enrolment`; what concerns *when* is left out, as it takes most of the
time and no part in the queue.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from auricle.audio.decode import read_audio
from auricle.enrolment.backbone import Backbone, open_backbone
from auricle.enrolment.bank import load_bank
from auricle.enrolment.clips import EnrolledClip
from auricle.enrolment.heads import MOST_FOLDS, clip_items, fit_clip_head, unscaled
from auricle.enrolment.linear import link
from auricle.evaluation.intervals import percentile_interval
from auricle.files import atomic_write, write_json
from auricle.studio.index import HOP_S, WINDOW_S, Windows, permanent_keys
from auricle.studio.questions import WINDOW_THRESHOLD
from auricle.studio.selection import NO, UNSEEN, UNSURE, YES, Candidates, queue
from auricle.studio.teaching import Region, make_heads
from auricle.synth.activity import RegionRule, active_regions, loudest

TEACHER = "mn04_as_mAP_432.pt"
#: Names of AudioSet that a class of ESC-10 may be called by.
NAMES = {
    "chainsaw": ("Chainsaw",),
    "clock_tick": ("Tick", "Tick-tock", "Clock"),
    "crackling_fire": ("Fire", "Crackle"),
    "crying_baby": ("Baby cry, infant cry", "Crying, sobbing", "Whimper"),
    "dog": ("Dog", "Bark", "Yip", "Bow-wow", "Growling"),
    "helicopter": ("Helicopter",),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "rooster": ("Chicken, rooster", "Crowing, cock-a-doodle-doo", "Fowl"),
    "sea_waves": ("Waves, surf", "Ocean"),
    "sneezing": ("Sneeze",),
}
MAYBE = 0.1
#: Sounds of the pool, the first ones.
POOL = 500
EXAMPLES, BATCH = 5, 10
CHECKS = (0, 10, 20, 50, 100)
SEEDS = 5
ORDERS = ("queue", "random")
#: Clips that are stored together.
PART = 100
#: Seconds of a window that have to sound.
LEAST_S = 0.1
REPEATS = 1000


def make_vectors(shared: Path, out: Path) -> None:
    """Store what the built-in model makes of each window and clip, and what the teacher says of the pool."""
    from auricle.nn.modules.efficientat import load_checkpoint

    out.mkdir(parents=True, exist_ok=True)
    backbone = open_backbone()
    with (shared / "data/esc10/esc10.csv").open(newline="", encoding="utf-8") as file:
        clips = [(f"esc10/{r['filename']}", r["category"], int(r["fold"])) for r in csv.DictReader(file)]
    with (shared / "data/pool/pool.csv").open(newline="", encoding="utf-8") as file:
        clips += [(f"pool/{r['filename']}", "", 0) for r in islice(csv.DictReader(file), POOL)]
    with (shared / "models/audioset_class_labels_indices.csv").open(newline="", encoding="utf-8") as file:
        number = {row["display_name"]: int(row["index"]) for row in csv.DictReader(file)}
    wanted = [[number[name] for name in NAMES[label] if name in number] for label in sorted(NAMES)]
    network: Any = None
    parts = []
    for first in range(0, len(clips), PART):
        path = out / f"part-{first}.npz"
        if not path.exists():  # a killed run goes on here
            if network is None:
                network = load_checkpoint(str(shared / "models" / TEACHER)).eval()
            rows = [
                clip_rows(k, shared / "data" / clips[k][0], bool(clips[k][1]), backbone, network, wanted)
                for k in range(first, min(first + PART, len(clips)))
            ]
            atomic_write(
                path,
                lambda file, rows=rows: np.savez(
                    file, **{key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
                ),
            )
            print(first, len(clips), flush=True)
        parts.append(dict(np.load(path)))
    np.savez(out / "windows.npz", **{key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
    write_json(out / "clips.json", clips)


def clip_rows(
    k: int, path: Path, labelled: bool, backbone: Backbone, network: Any, wanted: list[list[int]]
) -> dict[str, np.ndarray]:
    """Return what is stored of a clip: of its windows, and of the whole."""
    import torch

    rate = backbone.spec.sample_rate
    window, hop = int(WINDOW_S * rate), int(HOP_S * rate)
    samples = np.asarray(read_audio(path, sample_rate=rate).samples, np.float32)
    active = np.zeros(len(samples), bool)
    regions = active_regions(samples, rate, RegionRule(bridge_s=0.5)) or [(0, len(samples))]
    for a, b in regions:
        active[a:b] = True
    starts = list(range(0, max(1, len(samples) - window + 1), hop))
    if len(samples) - (starts[-1] + window) > window // 8:
        starts.append(starts[-1] + hop)
    parts = [samples[start : start + window] for start in starts]
    vectors = [backbone.clip_vector(np.pad(part, (0, window - len(part)))) for part in parts]
    maybe = np.zeros(len(wanted), np.float32)
    if not labelled:
        sound = np.array(read_audio(path, sample_rate=32_000).samples)
        with torch.inference_mode():
            found = torch.sigmoid(network(torch.from_numpy(sound)[None]).clip_logits[0]).numpy()
        maybe = np.array([found[index].max() for index in wanted], np.float32)
    # An example as a person draws it: the loudest two seconds from the first sound to the last.
    example = backbone.clip_vector(loudest(samples[regions[0][0] : regions[-1][1]], window))
    return {
        "vectors": np.stack(vectors).astype(np.float16),
        "owner": np.full(len(starts), k),
        "onset": np.array(starts) / rate,
        "sounds": np.array([active[start : start + window].sum() >= LEAST_S * rate for start in starts]),
        "whole": backbone.vectors(samples)[0][:1].astype(np.float16),
        "example": example[None].astype(np.float16),
        "maybe": maybe[None],
    }


class Folder:
    """The recordings that the simulated user has, and the answers.

    Args:
        out: what ``make_vectors`` wrote.
        test: fold that is not in the folder.
        most: folds above are not in it either.
    """

    def __init__(self, out: Path, test: int) -> None:
        stored = dict(np.load(out / "windows.npz"))
        self.clips = [tuple(clip) for clip in json.loads((out / "clips.json").read_text())]
        labels, folds = [c[1] for c in self.clips], np.array([c[2] for c in self.clips])
        self.labels = sorted(set(labels) - {""})
        self.truth = np.array([[label == name for name in self.labels] for label in labels])
        self.maybe = stored["maybe"] >= MAYBE
        inside = (folds < test) & (folds >= 0)
        self.own = np.flatnonzero(inside[stored["owner"]])
        self.tested = np.flatnonzero(folds == test)
        self.inside = np.flatnonzero(inside)
        self.vectors = stored["vectors"].astype(np.float32)
        self.owner, self.onset, self.sounds = stored["owner"], stored["onset"], stored["sounds"]
        self.whole, self.example = stored["whole"].astype(np.float32), stored["example"].astype(np.float32)
        self.bank = load_bank(open_backbone().sha256)

    def windows(self, seed: int) -> Windows:
        """Return the windows, with the permanent numbers of a seed."""
        owner, onset = self.owner[self.own], self.onset[self.own]
        keys = [
            permanent_keys(f"{seed} {o}".encode(), np.array([round(t)]))[0] for o, t in zip(owner, onset, strict=True)
        ]
        return Windows(self.own, owner.astype(np.int64), onset, onset + WINDOW_S, np.array(keys))

    def answer(self, windows: Windows, column: int) -> np.ndarray:
        """Return what the user would say of each window."""
        truth = self.truth[windows.recording, column] & self.sounds[windows.rows]
        # A silent part of a clip of the class: nobody knows what is left of the sound there.
        unsure = self.maybe[windows.recording, column] | (self.truth[windows.recording, column] & ~truth)
        return np.where(truth, YES, np.where(unsure, UNSURE, NO))


def enrolled(vector: np.ndarray, name: str, label: tuple[str, ...], group: str) -> EnrolledClip:
    """Return a verdict as enrolment takes it, without what concerns time."""
    nothing = np.zeros((0, 1), np.float32)
    return EnrolledClip(name, name, label, group, np.stack([vector, vector]), nothing, nothing, nothing)


class Loop:
    """One user, one class, one order."""

    def __init__(self, folder: Folder, column: int, seed: int, order: str) -> None:
        self.folder, self.column, self.order = folder, column, order
        self.label = folder.labels[column]
        self.windows = folder.windows(seed)
        self.answers = folder.answer(self.windows, column)
        self.verdict = np.full(len(self.windows), UNSEEN)
        rng = np.random.default_rng([seed, column])
        known = [clip for clip in folder.inside if folder.truth[clip, column]]
        self.examples = [int(clip) for clip in rng.permutation(known)[:EXAMPLES]]
        self.asked = 0

    def teach(self) -> None:
        """Fit on the examples and all verdicts."""
        clips, regions = [], []
        for clip in self.examples:
            clips.append(enrolled(self.folder.example[clip], f"e{clip}", (self.label,), f"{clip} 0"))
            regions.append(Region(clip, 0.0, WINDOW_S, (self.label,)))
        for one in np.flatnonzero(np.isin(self.verdict, (YES, NO))):
            owner, onset = int(self.windows.recording[one]), float(self.windows.onset[one])
            classes = (self.label,) if self.verdict[one] == YES else ()
            vector = self.folder.vectors[self.windows.rows[one]]
            clips.append(enrolled(vector, f"w{one}", classes, f"{owner} 0"))
            regions.append(Region(owner, onset, onset + WINDOW_S, classes))
        items = clip_items(clips, (self.label,), self.folder.bank, MOST_FOLDS)
        head = fit_clip_head(items, "single")
        scale = self.folder.bank.clip_scale
        layers = {fold: unscaled(layer, scale) for fold, layer in head.by_fold.items()}
        fitted: Any = SimpleNamespace(
            labels=(self.label,), task="single", clip=unscaled(head.layer, scale), clip_by_fold=layers
        )
        self.heads = make_heads(fitted, clips, regions, "", "")

    def ask(self) -> None:
        """Judge one batch."""
        if self.order == "random":
            unseen = np.flatnonzero(self.verdict == UNSEEN)
            chosen = unseen[np.argsort(self.windows.key[unseen])][:BATCH].tolist()
        else:
            scores = self.heads.scores(self._index(), self.windows)[:, 0]
            candidates = Candidates(
                scores, self.verdict, self.windows.key, self.windows.recording, self.windows.onset, self.windows.offset
            )
            chosen = [one for one, _ in queue(candidates, WINDOW_THRESHOLD, BATCH)]
        self.verdict[chosen] = self.answers[chosen]
        self.asked += len(chosen)

    def _index(self) -> Any:
        vectors = self.folder.vectors

        def logits(windows: Windows, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
            return vectors[windows.rows] @ weight.T.astype(np.float32) + bias.astype(np.float32)

        def chosen(windows: Windows, rows: np.ndarray) -> np.ndarray:
            return vectors[windows.rows[rows]]

        return SimpleNamespace(logits=logits, vectors=chosen)

    def measure(self) -> np.ndarray:
        """Return whether each clip of the test fold is named, ``(clip,)``."""
        scores = link(self.heads.layer.logits(self.folder.whole[self.folder.tested]), "single")[:, 0]
        return np.asarray(scores >= 0.5)

    def found(self) -> int:
        """Return how many examples there are: those given and those confirmed."""
        return len(self.examples) + int((self.verdict == YES).sum())


def run(out: Path, test: int) -> None:
    """Run all loops, and store which clips are named after how many verdicts; a killed run resumes."""
    folder = Folder(out, test)
    result: dict[str, Any] = {"clips": [folder.clips[i][0] for i in folder.tested], "labels": folder.labels}
    result["truth"] = folder.truth[folder.tested].astype(int).tolist()
    result["windows"], result["recordings"], result["seconds"] = len(folder.own), len(folder.inside), 0.0
    for order in ORDERS:
        result[order] = {"named": [], "examples": []}
    for seed, order in product(range(SEEDS), ORDERS):
        path = out / f"loops-{test}-{order}-{seed}.json"
        if not path.exists():
            write_json(path, run_seed(folder, seed, order))
        stored = json.loads(path.read_text())
        result["seconds"] += stored["seconds"]
        result[order]["named"].append(stored["named"])
        result[order]["examples"].append(stored["examples"])
        truth = folder.truth[folder.tested]
        rows = {c: np.round(figures(np.array(stored["named"][k])[None], truth), 3) for k, c in enumerate(CHECKS)}
        print(order, seed, round(stored["seconds"]), {key: row.tolist() for key, row in rows.items()}, flush=True)
    for order in ORDERS:
        result[order]["named"] = np.array(result[order]["named"]).swapaxes(0, 1).tolist()
        result[order]["examples"] = np.mean(result[order]["examples"], axis=0).tolist()
    write_json(out / f"loops-{test}.json", result)


def run_seed(folder: Folder, seed: int, order: str) -> dict[str, Any]:
    """Return which test clips are named, ``(check, clip, label)``, and how many examples there are, ``(check,)``."""
    began = time.process_time()
    named = np.zeros((len(CHECKS), len(folder.tested), len(folder.labels)), int)
    found = np.zeros((len(CHECKS), len(folder.labels)), int)
    for column in range(len(folder.labels)):
        loop = Loop(folder, column, seed, order)
        loop.teach()
        for k, check in enumerate(CHECKS):
            while loop.asked < check:
                loop.ask()
                if order == "queue" or loop.asked >= check:  # random order asks no model
                    loop.teach()
            named[k, :, column] = loop.measure()
            found[k, column] = loop.found()
    return {
        "named": named.tolist(),
        "examples": found.mean(axis=1).tolist(),
        "seconds": time.process_time() - began,
    }


def figures(named: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """Return recall, precision and F1 over all classes together, mean over seeds.

    Args:
        named: ``(seed, clip, label)``.
        truth: ``(clip, label)``.
        weights: how often each clip counts; once if None.
    """
    weights = np.ones(len(truth)) if weights is None else weights
    hits = np.einsum("scl,cl,c->s", named, truth, weights)
    recall = hits / np.einsum("cl,c->", truth.astype(int), weights)
    precision = hits / np.maximum(np.einsum("scl,c->s", named, weights), 1)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-9)
    return float(recall.mean()), float(precision.mean()), float(f1.mean())


def intervals(
    named: np.ndarray, truth: np.ndarray, groups: Sequence[str], other: np.ndarray | None = None
) -> list[Any]:
    """Return recall, precision and F1 with 95 % intervals over source recordings; or how much more than another."""
    names = sorted(set(groups))
    rng = np.random.default_rng(0)
    member = np.array([names.index(group) for group in groups])
    value = np.array(figures(named, truth)) - (0 if other is None else np.array(figures(other, truth)))
    drawn = []
    for _ in range(REPEATS):
        weights = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[member]
        row = np.array(figures(named, truth, weights))
        drawn.append(row - (0 if other is None else np.array(figures(other, truth, weights))))
    table = np.array(drawn)
    return [percentile_interval(float(v), table[:, k], len(truth)) for k, v in enumerate(value)]


def main() -> None:
    """Run one step."""
    step, *rest = sys.argv[1:]
    if step == "vectors":
        make_vectors(Path(rest[0]), Path(rest[1]))
    elif step == "run":
        run(Path(rest[0]), int(rest[1]))
    elif step == "table":
        from benchmarks.active_learning_table import write_table

        write_table(Path(rest[0]))


if __name__ == "__main__":
    main()
