# SPDX-License-Identifier: Apache-2.0
"""What a teacher buys: students of at most 0.3 M weights on ESC-10, five official folds, with and without mn04.

    python -m experiments.distillation teach SHARED RUNS [NAME ...]    soft labels of all rows, once
    python -m experiments.distillation run SHARED RUNS ROW [SEED ...]  trains what is missing of one row
    python -m experiments.distillation fold SHARED RUNS ROW SEED FOLD  trains one fold, so that many run at once
    python -m experiments.distillation bundle SHARED RUNS ROW SEED     a model of folds 1 to 4, with dev for thresholds
    python -m experiments.distillation audioset SHARED RUNS SEED       a student of the pool, all of mn04's classes
    python -m experiments.distillation trial SHARED RUNS ROW FOLD SEED [KEY=VALUE ...]   design: folds 1 to 4 only
    python -m experiments.distillation agree SHARED RUNS               both students of the pool on kept-out packages
    python -m experiments.distillation cost SHARED RUNS                weights and time for 10 s, one thread
    python -m experiments.distillation detect SHARED RUNS              with and without window labels, on scenes
    python -m experiments.distillation table SHARED RUNS               writes docs/results/distillation.md, with
                                                                      what RUNS/notes.md says about the runs, and
                                                                      the row `crnn` of benchmarks.esc10, if
                                                                      RUNS/default is that folder

Every step is resumable: a fold that is done is not trained again, a killed fold resumes from its checkpoint. All rows
of one network take the same number of steps. No fold is trained on its test clips: mixtures are made within folds,
those with a source outside the training folds are left out, and the head on the embedding is fitted on the training
folds.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Manifest
from auricle.distill.store import SoftStore, open_store
from auricle.evaluation.intervals import bootstrap_interval
from auricle.evaluation.report import pooled_metrics
from auricle.files import atomic_write, read_json, write_json
from auricle.progress import Progress
from auricle.recipe.schema import Recipe, load_recipe, with_values
from auricle.results import FloatArray
from auricle.training.devices import has_bf16_units
from benchmarks.machine import commit, describe, one_thread

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

PAGE = Path(__file__).parents[1] / "docs/results/distillation.md"
SEEDS = (0, 1, 2)
#: Packages of the pool that no teacher labels for a student: the check of agreement.
KEPT_OUT = ("klettres-data", "ufoai-sound")
#: Steps of 128 crops that every student of the table takes.
STEPS = 750
STUDENT = (
    *("run.threads=1", "data.workers=0", "data.batch_size=128", f"optim.steps={STEPS}", "optim.lr=0.004"),
    *("run.early_stop=null", "model.dropout=0.1", "augment.gain_db=6", "augment.equaliser_db=8"),
    *("augment.mixup_by=level", "augment.mixup_alpha=1"),
)
MIXTURES = 12_000


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: as it stands there.
        soft: folder of soft labels under RUNS; None without a teacher.
        overrides: of the recipe, after those of all students.
        pretrained: whether the student of the pool (``audioset``) is trained first, once a seed, and fine-tuned.
        model: network.
        copied: whether it begins with weights of mn04, all or the first layers.
    """

    what: str
    soft: str | None = None
    overrides: tuple[str, ...] = ()
    pretrained: bool = False
    model: str = "crnn"
    copied: bool = False


BEGUN = "`mobilecrnn` that begins as mn04's first layers"

#: A student that begins as its teacher's first layers: a twentieth of the crops of the others.
LAYERS = (
    *("data.batch_size=16", "optim.steps=300", "optim.lr=0.002", "optim.warmup_steps=30"),
    *("augment.equaliser_db=0", "augment.mixup_alpha=0.3"),
)

#: The student of the pool with all of mn04's classes, which was not good enough to ship as `audioset`. Its head has no
#: weights of attention: with 527 classes they would be the largest part.
AUDIOSET = (
    *("model.head=linear_softmax", "data.batch_size=16", "optim.steps=1500", "optim.lr=0.002"),
    *("augment.equaliser_db=0", "augment.mixup_alpha=0", "teacher.classes_weight=0"),
)

#: Students of the pool, by the folder of their runs.
POOL_STUDENTS = {"pretrained": "CRNN before ADR 28", "audioset": BEGUN}

ROWS: Mapping[str, Row] = {
    "alone": Row("student alone"),
    "clips": Row("+ labels of the clips (classes and embedding)", "clips"),
    "mixtures": Row("+ labels of mixtures", "mixtures", ("augment.mixup_alpha=0", "teacher.clip_share=0.12")),
    "teacher": Row(
        "mn04, fine-tuned",
        None,
        (
            *("optim.steps=200", "optim.lr=0.0003", "data.batch_size=16", "optim.warmup_steps=20"),
            *("model.dropout=0.2", "augment.equaliser_db=0", "augment.mixup_alpha=0.3"),
        ),
        model="efficientat",
        copied=True,
    ),
    "scratch": Row("`mobilecrnn` alone", None, LAYERS, model="mobilecrnn"),
    "layers": Row(BEGUN, None, LAYERS, model="mobilecrnn", copied=True),
    "layers_pool": Row(
        f"{BEGUN}, + pre-training on the pool",
        None,
        LAYERS,
        pretrained=True,
        model="mobilecrnn",
    ),
    "layers_clips": Row(
        f"{BEGUN}, + labels of the clips",
        "clips",
        LAYERS,
        model="mobilecrnn",
        copied=True,
    ),
    "layers_mixtures": Row(
        f"{BEGUN}, + labels of mixtures, head `linear_softmax`, 600 steps",
        "mixtures",
        (
            *(*LAYERS, "optim.steps=600", "model.head=linear_softmax"),
            *("augment.mixup_alpha=0", "teacher.clip_share=0.12"),
        ),
        model="mobilecrnn",
        copied=True,
    ),
    "layers_windows": Row(
        f"{BEGUN}, + labels of windows of 1 s",
        "windows",
        LAYERS,
        model="mobilecrnn",
        copied=True,
    ),
}
#: Recordings, mixtures and windows of each folder of soft labels.
LESSONS: Mapping[str, dict[str, object]] = {
    "clips": {"window_s": 5.0},
    "windows": {"window_s": 1.0},
    "mixtures": {"window_s": 5.0, "mixtures": MIXTURES, "pool": True},
    "pretraining": {"window_s": 5.0, "mixtures": MIXTURES // 2, "unlabelled": True},
}

#: AudioSet's classes that mean a class of ESC-10.
MEANS = {
    "chainsaw": ("Chainsaw",),
    "clock_tick": ("Clock", "Tick", "Tick-tock"),
    "crackling_fire": ("Fire", "Crackle"),
    "crying_baby": ("Crying, sobbing", "Baby cry, infant cry"),
    "dog": ("Dog", "Bark"),
    "helicopter": ("Helicopter",),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "rooster": ("Chicken, rooster", "Crowing, cock-a-doodle-doo"),
    "sea_waves": ("Ocean", "Waves, surf"),
    "sneezing": ("Sneeze",),
}


class Say(Progress):
    """Prints what a run decides, and how far it is once a minute."""

    def __init__(self) -> None:
        self._last, self._total = time.monotonic(), 0

    def notice(self, text: str) -> None:
        print(text, flush=True)

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        self._total = total_steps
        print(f"{total_steps} steps, {done_steps} done, {seconds_a_step:.2f} s each", flush=True)

    def step_done(self, step: int, loss: float) -> None:
        if time.monotonic() - self._last > 60:
            self._last = time.monotonic()
            print(f"step {step} of {self._total}, loss {loss:.3f}", flush=True)


def teacher_of(shared: Path) -> Path:
    return shared / "models/mn04_as_mAP_432.pt"


def teach(shared: Path, runs: Path, names: Sequence[str] = ()) -> None:
    """Make every folder of soft labels, or those named; continues where it stopped."""
    for name, settings in LESSONS.items():
        if names and name not in names:
            continue
        unlabelled = bool(settings.get("unlabelled"))
        options = {k: v for k, v in settings.items() if k != "pool"}
        pool = shared / "data/pool/pool.csv"
        kept_out = [f"package={package}" for package in KEPT_OUT]
        out = runs / "soft" / name
        print(f"== {name}", flush=True)
        api.teach(
            pool if unlabelled else shared / "data/esc10",
            teacher=str(teacher_of(shared)),
            out=out,
            pool=pool if settings.get("pool") else None,
            leave_out=kept_out if unlabelled or settings.get("pool") else (),
            bf16=has_bf16_units("cpu"),
            resume=out.exists(),
            progress=Say(),
            **options,
        )


def recipe_of(row: Row, extra: Sequence[str] = ()) -> Recipe:

    return load_recipe(None, [*STUDENT, *row.overrides, *extra], base={"model": {"name": row.model}})


def taught_recipe(shared: Path, runs: Path, row: Row, seed: int, extra: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a row with its soft labels, the pool that some of them need, and its initial weights."""
    recipe = recipe_of(row, [*pool_of(shared, row), *extra])
    values: dict[str, object] = {} if row.soft is None else {"teacher.labels": str(soft_of(runs, row))}
    if row.copied or row.pretrained:
        init = teacher_of(shared) if row.copied else audioset(shared, runs, seed)
        values |= {"init.model": str(init), "init.new_head": True}
    return with_values(recipe, values)


def soft_of(runs: Path, row: Row) -> Path | None:
    return None if row.soft is None else runs / "soft" / row.soft


def manifest_of(shared: Path) -> Manifest:
    return read_manifest(shared / "data/esc10")


def audioset(shared: Path, runs: Path, seed: int) -> Path:
    """Train the student of the pool that begins as mn04's first layers and knows all of its classes."""
    out, pool = runs / "audioset" / f"seed{seed}", shared / "data/pool/pool.csv"
    if (out / "auricle.json").is_file():
        return out
    api.train(
        pool,
        out=out,
        model="mobilecrnn",
        soft=runs / "soft/pretraining",
        init=str(teacher_of(shared)),
        new_head=True,
        overrides=[*STUDENT, *AUDIOSET, f"teacher.pool={pool}"],
        seed=seed,
        resume=out.exists(),
        progress=Say(),
    )
    return out


def bundle(shared: Path, runs: Path, name: str, seed: int) -> Path:
    """Train one row on folds 1 to 4, with a share of them as dev for thresholds and filters; fold 5 is not heard."""
    out, row = runs / "bundles" / f"{name}-{seed}", ROWS[name]
    api.train(
        shared / "data/esc10",
        out=out,
        model=row.model,
        init=str(teacher_of(shared)) if row.copied else None,
        new_head=row.copied,
        soft=soft_of(runs, row),
        overrides=[*STUDENT, *row.overrides, *pool_of(shared, row)],
        seed=seed,
        test_fold="5",
        resume=out.exists(),
        progress=Say(),
    )
    return out


def pool_of(shared: Path, row: Row) -> list[str]:
    """Return where the pool lies, for the rows that hear it."""
    return [f"teacher.pool={shared / 'data/pool/pool.csv'}"] if row.soft == "mixtures" else []


def fold(shared: Path, runs: Path, name: str, seed: int, number: str) -> None:
    """Train one fold of a row, so that many can be trained at once; ``run`` finds it done."""
    from auricle.data.splits import crossval_folds
    from auricle.training.crossval import Job, train_fold

    row, manifest = ROWS[name], manifest_of(shared)
    recipe = taught_recipe(shared, runs, row, seed)
    found = next(f for f in crossval_folds(manifest) if f.name == number)
    job = Job(found, seed, runs / name / f"seed{seed}" / f"fold{number}")
    if not (job.folder / "scores.npz").is_file():
        train_fold(job, manifest, recipe, Say())


def run(shared: Path, runs: Path, name: str, seeds: Sequence[int]) -> None:
    """Cross-validate one row, one seed after the other."""
    from auricle.training.crossval import run_crossval

    row = ROWS[name]
    for seed in seeds:
        recipe = taught_recipe(shared, runs, row, seed)
        out = runs / name / f"seed{seed}"
        began = time.process_time()
        result = run_crossval(manifest_of(shared), recipe, seeds=[seed], out=out, jobs=1, progress=Say())
        accuracy = result.metrics["accuracy"].value
        minutes = (time.process_time() - began) / 60
        write_json(out / "row.json", {"parameters": result.parameters, "commit": commit(), "data": result.data_hash})
        print(f"{name}, seed {seed}: accuracy {accuracy:.4f}, {minutes:.1f} CPU minutes now", flush=True)


def trial(shared: Path, runs: Path, name: str, fold: str, seed: int, extra: Sequence[str]) -> None:
    """Train on folds 1 to 4 but one, score that one: fold 5 is neither heard nor scored."""
    from auricle.data.splits import Split
    from auricle.evaluation.report import selection_figures
    from auricle.training.bundling import Trained, clip_rows
    from auricle.training.checkpoint import State
    from auricle.training.loop import final_weights
    from auricle.training.preparation import prepare
    from auricle.training.run import fit

    row = ROWS[name]
    recipe = taught_recipe(shared, runs, row, seed, extra)
    recipe = recipe.model_copy(update={"seed": seed})
    manifest = manifest_of(shared)
    manifest = manifest.select([i for i, clip in enumerate(manifest.clips) if clip.fold != "5"])
    material = prepare(manifest, recipe, Progress())
    folds = np.array([clip.fold for clip in material.manifest.clips])
    train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    out = runs / "trials" / f"{name}-{fold}-{seed}-{time.strftime('%H%M%S')}-{os.getpid()}"
    out.mkdir(parents=True)
    began = time.process_time()
    state = fit(material, Split(train, train[:0], test), out, State(), Say())
    network = Trained(final_weights(state, selected=False), material, seed).network()
    clips = [material.manifest.clips[i] for i in test]
    scores = np.stack(clip_rows(network, material, clips))
    figures = selection_figures(scores, material.targets[test], material.recipe.task)
    cpu_s = round(time.process_time() - began)
    line = {"row": name, "fold": fold, "seed": seed, "set": list(extra), **figures, "cpu_s": cpu_s}
    with (runs / "trials.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(line, flush=True)


def probe_scores(store: SoftStore, manifest: Manifest) -> FloatArray:
    """Return out-of-fold scores of the teacher's linear probe."""
    from auricle.teachers.heads import fit_head

    row = [store.rows[store.row_of[clip.key]] for clip in manifest.clips]
    vectors = np.stack([np.asarray(store.embeddings[r.first_window : r.first_window + r.windows]).mean(0) for r in row])
    folds, targets = np.array([clip.fold for clip in manifest.clips]), manifest.targets()
    scores = np.zeros_like(targets)
    for fold in manifest.folds:
        head = fit_head(vectors[folds != fold], targets[folds != fold], manifest.task)
        scores[folds == fold] = head(vectors[folds == fold])
    return scores


def row_scores(runs: Path, name: str, manifest: Manifest) -> dict[int, FloatArray]:
    """Return the pooled out-of-fold scores of each seed that is complete."""
    found = {}
    folds = np.array([clip.fold for clip in manifest.clips])
    for seed in SEEDS:
        files = {fold: runs / name / f"seed{seed}" / f"fold{fold}" / "scores.npz" for fold in manifest.folds}
        if all(path.is_file() for path in files.values()):
            scores = np.zeros_like(manifest.targets())
            for fold, path in files.items():
                with np.load(path, allow_pickle=False) as stored:
                    scores[folds == fold] = stored["scores"]
            found[seed] = scores
    return found


def paired_gain(row: Mapping[int, FloatArray], alone: Mapping[int, FloatArray], manifest: Manifest) -> str:
    """Return the gain in accuracy over the student alone on the same clips and seeds, with its interval."""
    truth = manifest.targets().argmax(1)
    seeds = sorted(set(row) & set(alone))
    if not seeds:
        return ""
    better = [(row[s].argmax(1) == truth).astype(float) - (alone[s].argmax(1) == truth) for s in seeds]
    statistics = [lambda items, b=b: float(b[items].mean()) for b in better]
    gain = bootstrap_interval(statistics, manifest.groups())
    return "" if gain is None else f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def agree(shared: Path, runs: Path) -> None:
    """Score the students of the pool on what was kept out: do they say what their teacher says?"""
    from auricle.audio.decode import read_audio
    from auricle.evaluation.metrics import average_precisions
    from auricle.teachers.registry import open_teacher

    with (shared / "data/pool/pool.csv").open(newline="") as file:
        kept = [row["filename"] for row in csv.DictReader(file) if row["package"] in KEPT_OUT]
    teacher = open_teacher(str(teacher_of(shared)))
    paths = [str(shared / "data/pool" / name) for name in kept]
    said = []
    for path in paths:
        samples = read_audio(path, sample_rate=teacher.sample_rate).samples
        said.append(teacher.score(np.array(samples)[None]).scores[0])
    truth = np.stack(said)
    present = truth >= 0.3
    often = np.flatnonzero(present.sum(0) >= 5)
    report = {"clips": len(kept), "classes": len(often)}
    for kind, seed in ((kind, seed) for kind in POOL_STUDENTS for seed in SEEDS):
        folder = runs / kind / f"seed{seed}"
        if not (folder / "auricle.json").is_file():
            continue
        detector = api.load(folder)
        order = [detector.labels.index(label) for label in teacher.labels]
        found = []
        for path in paths:
            scores = {s.label: s.score for s in detector.tag(path).scores}
            found.append([scores[detector.labels[i]] for i in order])
        scores = np.array(found)
        same = scores.argmax(1) == truth.argmax(1)

        def mean_precision(items: IntArray, scores: FloatArray = scores) -> float:
            found = average_precisions(present[items][:, often], scores[items][:, often])
            return float(np.mean([p for p in found if p is not None]))

        right = zero_shot(detector, manifest_of(shared))
        report[f"{kind}/seed{seed}"] = {
            "mAP": _interval(mean_precision, len(kept)),
            "top1": _interval(lambda items, same=same: float(same[items].mean()), len(kept)),
            "zero_shot": _interval(lambda items, right=right: float(right[items].mean()), len(right)),
        }
    write_json(runs / "agree.json", report)
    print(json.dumps(report))


def _interval(statistic: Callable[[IntArray], float], clips: int) -> dict[str, float]:
    """Return a figure over clips with its 95 % bootstrap interval."""
    found = bootstrap_interval([statistic], [(number,) for number in range(clips)])
    assert found is not None
    return {"value": found.value, "low": found.low, "high": found.high, "n": clips}


def zero_shot(detector: api.Detector, manifest: Manifest) -> BoolArray:
    """Return which clips of fold 5 a model of AudioSet's classes names: the class with the highest matching one."""
    right = []
    for clip in (clip for clip in manifest.clips if clip.fold == "5"):
        scores = {s.label: s.score for s in detector.tag(clip.path).scores}
        said = max(MEANS, key=lambda label: max(scores[name] for name in MEANS[label]))
        right.append((said,) == clip.label)
    return np.array(right)


def cost(shared: Path, runs: Path) -> None:
    """Measure weights and time for 10 s on one thread, in turns: the built-in student, today's CRNN, the teachers."""
    import torch

    from auricle.nn.modules.efficientat import load_checkpoint
    from benchmarks.models import untrained
    from benchmarks.tag import ast_tagger
    from benchmarks.timing import Candidate, take_turns

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    sound = {rate: rng.normal(0, 0.1, 10 * rate).astype(np.float32) for rate in (16_000, 32_000)}
    student = api.load("esc10")
    with TemporaryDirectory() as folder:
        crnn = api.load(untrained(Path(folder)))
    mn04 = load_checkpoint(teacher_of(shared)).to(memory_format=torch.channels_last)
    ast, ast_weights = ast_tagger()

    def hear() -> None:
        with torch.inference_mode():
            mn04(torch.from_numpy(sound[32_000])[None])

    timings = take_turns(
        {
            "student": Candidate(lambda: student.tag(sound[32_000], 32_000), 10),
            "CRNN": Candidate(lambda: crnn.tag(sound[16_000], 16_000), 10),
            "mn04": Candidate(hear, 3),
            "AST base": Candidate(lambda: ast(sound[16_000])),
        },
        rounds=8,
    )
    weights = {
        "student": student.spec.provenance.parameters,
        "CRNN": crnn.spec.provenance.parameters,
        "mn04": sum(p.numel() for p in mn04.parameters()),
        "AST base": ast_weights,
    }
    report = {n: {"weights": weights[n], **t.to_dict()} for n, t in timings.items()}
    write_json(runs / "cost.json", {"costs": report, "machine": describe()})
    print(json.dumps(report))


def detect(shared: Path, runs: Path) -> None:
    """Train on folds 1 to 4 with and without window labels; count events and segments of the scenes of fold 5."""
    from auricle.evaluation.events.metrics import event_counts, segment_counts
    from auricle.results import Event

    with (shared / "data/strong/events.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    true: dict[str, list[Event]] = {}
    for r in rows:
        true.setdefault(r["filename"], []).append(Event(r["event_label"], float(r["onset"]), float(r["offset"]), 1.0))
    report = {}
    for name in ("layers_clips", "layers_windows", "layers_mixtures"):
        out = runs / "bundles" / f"{name}-0"
        detector = api.load(out if (out / "auricle.json").is_file() else bundle(shared, runs, name, 0))
        events, segments = np.zeros(3), np.zeros(3)
        for filename, expected in true.items():
            found = detector.detect(str(shared / "data/strong" / filename)).events
            events += event_counts(expected, found, detector.labels).sum(0)
            segments += segment_counts(expected, found, detector.labels).sum(0)
        report[name] = {k: 2 * c[0] / (2 * c[0] + c[1] + c[2]) for k, c in (("event", events), ("segment", segments))}
    write_json(runs / "detect.json", report)
    print(json.dumps(report))


HEAD = """# What a teacher buys

ESC-10, 400 clips, five official folds; nothing selected, the last averaged weights scored once. Rows of one network
have the same number of steps: the CRNN (as it was before ADR 28) 750 of 128 crops, `mobilecrnn` 300 of 16. Teacher:
mn04 (EfficientAT, 0.98 M weights), zero-shot 96.25 %. No fold is trained on its test clips, neither through the student
nor through the teacher's head (`tests/training/test_distillation.py`). Interval: 95 % bootstrap over source recordings,
averaged over seeds. Gains: paired, on the same clips and seeds, over the student alone and over today's default CRNN,
which has no teacher either, is larger than a student may be here, and has a recipe of its own ([esc10.md](esc10.md)).

| row | weights | seeds | accuracy % [95 %] | each seed | gain over alone | gain over default | log loss \
| calibration error | commit |
|---|--:|--:|--:|---|--:|--:|--:|--:|---|
"""

#: Folder of today's default CRNN under RUNS.
DEFAULT = "default"


def table(runs: Path, shared: Path) -> str:
    manifest = manifest_of(shared)
    targets, groups = manifest.targets(), manifest.groups()
    alone, default = row_scores(runs, "alone", manifest), row_scores(runs, DEFAULT, manifest)
    lines, missing = [HEAD.rstrip("\n")], []
    if default:
        facts, made = read_json(runs / DEFAULT / "results.json"), (runs / DEFAULT / "commit").read_text().strip()
        gains = (paired_gain(default, alone, manifest), "")
        lines.append(_line("CRNN, default recipe", f"{facts['parameters']:,}", default, targets, groups, gains, made))
    for name, row in ROWS.items():
        found = row_scores(runs, name, manifest)
        if absent := [str(seed) for seed in SEEDS if seed not in found]:
            missing.append(f"{row.what} (seed {', '.join(absent)})")
        if not found:
            continue
        facts = read_json(runs / name / f"seed{min(found)}" / "row.json")
        gains = ("" if name == "alone" else paired_gain(found, alone, manifest), paired_gain(found, default, manifest))
        lines.append(_line(row.what, f"{facts['parameters']:,}", found, targets, groups, gains, facts["commit"]))
    store = runs / "soft/clips"
    if (store / "index.json").is_file():
        probe = {0: probe_scores(open_store(store), manifest)}
        lines.append(_line("mn04, linear probe", "983,599", probe, targets, groups, ("", ""), commit()))
    lines += ["", "Not trained, or not to the end: " + "; ".join(missing) + "."] if missing else []
    lines += ["", (runs / "notes.md").read_text().rstrip("\n")] if (runs / "notes.md").is_file() else []
    lines += _extra(runs)
    lines += ["", "Machine: " + ", ".join(f"{k} {v}" for k, v in describe().items()), ""]
    return "\n".join(lines)


def _line(
    what: str,
    weights: str,
    found: Mapping[int, FloatArray],
    targets: FloatArray,
    groups: Sequence[object],
    gains: tuple[str, str],
    where: str,
) -> str:
    m = pooled_metrics(list(found.values()), targets, groups, "single")
    a, truth = m["accuracy"], targets.argmax(1)
    each = ", ".join(f"{100 * float((s.argmax(1) == truth).mean()):.2f}" for s in found.values())
    accuracy = f"**{100 * a.value:.1f}** [{100 * a.low:.1f}, {100 * a.high:.1f}]"
    figures = f"{m['log_loss'].value:.3f} | {m['calibration_error'].value:.3f}"
    return f"| {what} | {weights} | {len(found)} | {accuracy} | {each} | {' | '.join(gains)} | {figures} | `{where}` |"


def _extra(runs: Path) -> list[str]:
    """Return the tables of cost, agreement and detection, where they were measured."""
    lines = []
    if (runs / "cost.json").is_file():
        costs = read_json(runs / "cost.json")["costs"]
        lines += ["", "## Cost: 10 s of sound, one thread, front end included", ""]
        lines += [
            "`student` is the built-in `esc10`, which began as mn04's first layers, `CRNN` today's default.",
            "",
        ]
        lines += ["| network | weights | milliseconds | times the student | times the CRNN |", "|---|--:|--:|--:|--:|"]
        for name, c in costs.items():
            times = (c["median_s"] / costs[other]["median_s"] for other in ("student", "CRNN"))
            cells = [name, f"{c['weights']:,}", f"{1000 * c['median_s']:.1f}", *(f"{ratio:.1f}" for ratio in times)]
            lines.append(f"| {' | '.join(cells)} |")
    if (runs / "detect.json").is_file():
        lines += ["", "## When: 80 scenes of fold 5, students of folds 1 to 4", ""]
        lines += ["| student | event F1 % | segment F1 % |", "|---|--:|--:|"]
        found = read_json(runs / "detect.json")
        lines += [f"| {ROWS[n].what} | {100 * f['event']:.1f} | {100 * f['segment']:.1f} |" for n, f in found.items()]
    if (runs / "agree.json").is_file():
        found = read_json(runs / "agree.json")
        lines += ["", "## Agreement with mn04 on the packages that were kept out", ""]
        lines += [
            f"{found['clips']} clips of {', '.join(KEPT_OUT)}; {found['classes']} classes with at least 5 positives."
        ]
        lines += ["", "| student of the pool | mAP % | same first class % | zero-shot, ESC-10 fold 5 % |"]
        lines += ["|---|--:|--:|--:|"]
        for student, figures in found.items():
            if "/" in student:
                kind, seed = student.split("/")
                cells = " | ".join(_cell(figures[name]) for name in ("mAP", "top1", "zero_shot"))
                lines += [f"| {POOL_STUDENTS[kind]}, {seed} | {cells} |"]
    return lines


def _cell(figure: Mapping[str, float]) -> str:
    return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def main() -> None:
    words = sys.argv[1:]
    needed = {"run": 4, "trial": 6, "fold": 6, "bundle": 5, "audioset": 4}
    known = {"teach", "agree", "cost", "detect", "table", *needed}
    if len(words) < 3 or words[0] not in known or len(words) < needed.get(words[0], 3):
        sys.exit(__doc__)
    one_thread("experiments.distillation")
    shared, runs = Path(words[1]).resolve(), Path(words[2]).resolve()
    if words[0] == "run":
        run(shared, runs, words[3], [int(s) for s in words[4:]] if words[4:] else SEEDS)
    elif words[0] == "fold":
        fold(shared, runs, words[3], int(words[4]), words[5])
    elif words[0] == "bundle":
        bundle(shared, runs, words[3], int(words[4]))
    elif words[0] == "audioset":
        audioset(shared, runs, int(words[3]))
    elif words[0] == "trial":
        trial(shared, runs, words[3], words[4], int(words[5]), words[6:])
    elif words[0] == "table":
        atomic_write(PAGE, table(runs, shared).encode())
        print(f"wrote {PAGE}")
    elif words[0] == "teach":
        teach(shared, runs, words[3:])
    else:
        {"agree": agree, "cost": cost, "detect": detect}[words[0]](shared, runs)


if __name__ == "__main__":
    main()
