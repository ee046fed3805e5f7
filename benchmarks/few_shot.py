# SPDX-License-Identifier: Apache-2.0
"""How good is a model of a few clips? ESC-10, five folds, draws of 1, 3, 5, 10, 20 and all clips a class.

    python -m benchmarks.few_shot vectors SHARED OUT     every clip goes through the built-in model and the teacher once
    python -m benchmarks.few_shot run OUT                the rows of enrol and of the ceiling, a fit for each draw
    python -m benchmarks.few_shot left-out OUT           nine classes, and sounds of the tenth
    python -m benchmarks.few_shot detect SHARED OUT      events on the scenes of fold 5, from clips of the other folds
    python -m benchmarks.few_shot precision SHARED OUT   what `evaluate --tune --min-precision` promises, and what comes
    python -m benchmarks.few_shot table OUT              writes docs/results/few-shot.md from what is there

Rows: `enrol`, that is `auricle.enrolment` as users run it without what concerns time; and logistic regression on the
teacher's own embedding (mn04, 384 numbers), which is what the built-in model was made to be like. The clips of a test
fold are never fitted on, and nothing was chosen by these figures but what the page says.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.enrolment.backbone import open_backbone
from auricle.enrolment.bank import load_bank
from auricle.enrolment.clips import EnrolledClip, dump_enrolled, enrol_clip, parse_enrolled
from auricle.enrolment.figures import fit_error_rates
from auricle.enrolment.heads import MOST_FOLDS, clip_items, fit_clip_head, targets_of
from auricle.enrolment.linear import fit_linear, link
from auricle.evaluation.intervals import bootstrap_mean
from auricle.evaluation.metrics import decisions
from auricle.files import atomic_write, write_json
from auricle.runtime.abstention import RATES

COUNTS = (1, 3, 5, 10, 20, 0)  # 0: all
DRAWS = 10
TEACHER = "mn04_as_mAP_432.pt"


def make_vectors(shared: Path, out: Path) -> None:
    """Store what the built-in model and the teacher make of each clip."""
    import torch

    from auricle.audio.decode import read_audio
    from auricle.nn.modules.efficientat import load_checkpoint

    out.mkdir(parents=True, exist_ok=True)
    backbone, manifest = open_backbone(), read_manifest(shared / "data/esc10/esc10.csv")
    begin = time.process_time()
    clips = [enrol_clip(clip, None, backbone) for clip in manifest.clips]
    seconds = (time.process_time() - begin) / len(clips)
    atomic_write(out / "clips.npz", dump_enrolled(clips, backbone.sha256))
    write_json(out / "folds.json", {"folds": [clip.fold for clip in manifest.clips], "seconds": seconds})
    network = load_checkpoint(str(shared / "models" / TEACHER))
    rows = []
    for clip in manifest.clips:
        samples = np.array(read_audio(clip.path, sample_rate=32_000).samples)
        with torch.inference_mode():
            rows.append(network(torch.from_numpy(samples)[None]).embedding[0].numpy())
    np.save(out / "teacher.npy", np.stack(rows))


def load_vectors(out: Path) -> tuple[list[EnrolledClip], list[str], np.ndarray]:
    """Return the clips, their folds and the teacher's embeddings."""
    clips = parse_enrolled((out / "clips.npz").read_bytes(), open_backbone().sha256, str(out))
    return clips, json.loads((out / "folds.json").read_text())["folds"], np.load(out / "teacher.npy")


def draw(truth: np.ndarray, allowed: np.ndarray, count: int, seed: Sequence[int]) -> list[int]:
    """Return so many clips of each class of those that are allowed."""
    rng, chosen = np.random.default_rng(seed), []
    for column in range(truth.shape[1]):
        have = rng.permutation(np.flatnonzero(allowed & (truth[:, column] == 1)))
        chosen += have[: count or len(have)].tolist()
    return chosen


def enrol_scores(clips: Sequence[EnrolledClip], labels: Sequence[str], tested: Sequence[EnrolledClip]) -> np.ndarray:
    """Return clip scores of tested clips by a model of others, as `tag` gives them."""
    bank = load_bank(open_backbone().sha256)
    head = fit_clip_head(clip_items(clips, labels, bank, MOST_FOLDS), "single")
    vectors = bank.clip_scale.apply(np.stack([clip.views[0] for clip in tested]))
    return link(head.layer.logits(vectors), "single")


def teacher_scores(x: np.ndarray, truth: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return the logits of logistic regression on embeddings that are scaled by those it is fitted on."""
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    layer = fit_linear((x - mean) / deviation, truth, np.ones(len(x)), 0.05, "single", tolerance=1e-4)
    return layer.logits((tested - mean) / deviation)


def run(out: Path) -> None:
    """Fit every draw, and store who was right."""
    clips, folds, teacher = load_vectors(out)
    labels = sorted({clip.label[0] for clip in clips})
    truth, fold = targets_of(clips, labels), np.array(folds)
    found: dict[str, Any] = {}
    for count in COUNTS:
        draws = DRAWS if count else 1
        right = {row: np.zeros((draws, len(clips))) for row in ("enrol", "ceiling")}
        said, wrong, seconds = np.zeros((draws, len(clips))), np.zeros((draws, len(clips))), []
        for number in range(draws):
            for k, name in enumerate(sorted(set(folds))):
                test = fold == name
                chosen = draw(truth, ~test, count, [count, number, k])
                begin = time.process_time()
                scores = enrol_scores(
                    [clips[i] for i in chosen], labels, [c for c, t in zip(clips, test, strict=True) if t]
                )
                seconds.append(time.process_time() - begin)
                own = truth[test].argmax(1)
                right["enrol"][number, test] = scores.argmax(1) == own
                named = decisions(scores, "single")
                said[number, test] = named.any(1)
                wrong[number, test] = named.any(1) & (scores.argmax(1) != own)
                logits = teacher_scores(teacher[chosen], truth[chosen], teacher[test])
                right["ceiling"][number, test] = logits.argmax(1) == own
        groups = [clip.group for clip in clips]
        figures = {row: bootstrap_mean(values, groups).to_dict() for row, values in right.items()}
        rest = {"named": said.mean(), "wrong_of_named": wrong.sum() / said.sum(), "seconds": float(np.mean(seconds))}
        found[str(count)] = {**figures, **rest, "draws": draws}
        write_json(out / "accuracy.json", found)
        print(count, found[str(count)], flush=True)


def leave_class_out(out: Path) -> None:
    """Enrol nine classes, and see what is named of a test fold that has ten: the tenth is always wrong."""
    clips, folds, _ = load_vectors(out)
    labels, fold, bank = sorted({clip.label[0] for clip in clips}), np.array(folds), load_bank(open_backbone().sha256)
    truth, rows = targets_of(clips, labels), {}
    for count in (5, 20):
        counts = {rate: np.zeros(4) for rate in (*RATES, None)}  # named, wrong, known clips, known clips named
        stated = dict.fromkeys(RATES, 0)
        for column, label in enumerate(labels):
            others = [other for other in labels if other != label]
            for k, name in enumerate(sorted(set(folds))):
                allowed, test = (fold != name) & (truth[:, column] == 0), np.flatnonzero(fold == name)
                chosen = [clips[i] for i in draw(np.delete(truth, column, axis=1), allowed, count, [count, column, k])]
                items = clip_items(chosen, others, bank, MOST_FOLDS)
                head = fit_clip_head(items, "single")
                part = fit_error_rates(items, head, chosen, others, "single")
                vectors = bank.clip_scale.apply(np.stack([clips[i].views[0] for i in test]))
                scores = link(head.layer.logits(vectors), "single")
                known = truth[test, column] == 0
                right = np.array([others[s.argmax()] == clips[i].label[0] for s, i in zip(scores, test, strict=True)])
                limits = {} if part is None else dict(zip(part.rates, part.thresholds, strict=True))
                for rate, tally in counts.items():
                    if rate is not None and rate not in limits:
                        continue
                    named = decisions(scores, "single").any(1) if rate is None else scores.max(1) >= limits[rate]
                    tally += [named.sum(), (named & ~right).sum(), known.sum(), (named & known).sum()]
                    if rate is not None:
                        stated[rate] += 1
        rows[str(count)] = {
            "default" if rate is None else str(rate): {
                "wrong": float(wrong / max(named, 1)),
                "coverage": float(covered / max(known, 1)),
                "stated": 50 if rate is None else stated[rate],
            }
            for rate, (named, wrong, known, covered) in counts.items()
        }
        print(count, rows[str(count)], flush=True)
        write_json(out / "left-out.json", rows)


def detect(shared: Path, out: Path) -> None:
    """Enrol clips of folds 1 to 4 and measure events on the scenes, which are made of fold 5."""
    import csv
    import shutil

    rows = {}
    with (shared / "data/esc10/esc10.csv").open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.DictReader(file) if row["fold"] != "5"]
    classes = sorted({row["category"] for row in table})
    for count in (5, 20, 0):
        rng = np.random.default_rng(count)
        with tempfile.TemporaryDirectory() as temporary:
            for label in classes:
                (Path(temporary) / label).mkdir()
                own = [row["filename"] for row in table if row["category"] == label]
                for name in rng.permutation(own)[: count or len(own)]:
                    shutil.copy(shared / "data/esc10" / name, Path(temporary) / label)
            begin = time.process_time()
            model = api.enrol(temporary, out=Path(temporary) / "model")
            seconds = time.process_time() - begin
            report = api.evaluate(shared / "data/strong", model=model.path)
        figures = {
            name: report.metrics[name].to_dict() for name in ("event_f1", "intersection_f1", "segment_f1", "psds2")
        }
        rows[str(count)] = {**figures, "seconds": seconds}
        print(count, rows[str(count)], flush=True)
        write_json(out / "detect.json", rows)


def precision(shared: Path, out: Path) -> None:
    """Enrol two folds, reach a precision on the next two as `evaluate --tune` does, and count on the fifth."""
    from auricle.evaluation.tuning.goals import reach_precision
    from auricle.evaluation.tuning.thresholds import peak_scores
    from auricle.events.segments import shortest_frames
    from auricle.events.smoothing import median_size

    manifest = read_manifest(shared / "data/esc10/esc10.csv")
    fold, goals = np.array([int(clip.fold) for clip in manifest.clips]), (0.5, 0.7, 0.8, 0.9)
    truth, groups = manifest.targets() >= 0.5, manifest.groups()
    named = {goal: np.zeros(truth.shape, bool) for goal in goals}
    stated = {goal: np.zeros((5, truth.shape[1]), bool) for goal in goals}
    for test in range(1, 6):
        fitted = [(test + step - 1) % 5 + 1 for step in (1, 2)]
        dev, left = ~np.isin(fold, [test, *fitted]), fold == test
        with tempfile.TemporaryDirectory() as temporary:
            for clip, number in zip(manifest.clips, fold, strict=True):
                if number in fitted:
                    folder = Path(temporary) / "clips" / clip.label[0]
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / Path(clip.path).name).symlink_to(clip.path)
            path = api.enrol(Path(temporary) / "clips", out=Path(temporary) / "model", follow_links=True).path
            detector = api.load(path)
        order = [detector.labels.index(label) for label in manifest.labels]
        spec, post = detector.spec, detector.spec.postprocess
        frames = {i: detector.frames(manifest.clips[i].path).values[:, order] for i in np.flatnonzero(dev | left)}
        step_s = spec.grid.step_s(spec.sample_rate)
        for column, label in enumerate(manifest.labels):
            size = median_size(post.median_of(label), step_s)
            shape = {"least_frames": shortest_frames(post.min_event_s, step_s), "off_ratio": post.off_ratio_of(label)}
            peaks = {i: float(peak_scores(part[:, [column]], size, **shape)[0]) for i, part in frames.items()}
            chosen = np.flatnonzero(dev)
            for goal in goals:
                found = reach_precision([peaks[i] for i in chosen], truth[chosen, column], goal)
                if not isinstance(found, str):
                    stated[goal][test - 1, column] = True
                    for i in np.flatnonzero(left):
                        named[goal][i, column] = peaks[i] >= found.threshold
        print(test, flush=True)
    rows = {}
    for goal in goals:
        held = np.stack([truth[i] & stated[goal][fold[i] - 1] for i in range(len(fold))])
        clip, column = np.nonzero(named[goal])
        got = bootstrap_mean(truth[clip, column], [groups[i] for i in clip]).to_dict() if len(clip) else None
        recall = float(named[goal][held].mean()) if held.any() else None
        rows[str(goal)] = {"got": got, "recall": recall, "stated": int(stated[goal].sum())}
    write_json(out / "precision.json", rows)
    print(rows)


def main() -> None:
    """Run one step."""
    step, *paths = sys.argv[1:]
    folders = [Path(path) for path in paths]
    if step == "vectors":
        make_vectors(*folders)
    elif step == "run":
        run(*folders)
    elif step == "left-out":
        leave_class_out(*folders)
    elif step == "detect":
        detect(*folders)
    elif step == "precision":
        precision(*folders)
    elif step == "table":
        from benchmarks.few_shot_table import write_table

        write_table(*folders)


if __name__ == "__main__":
    main()
