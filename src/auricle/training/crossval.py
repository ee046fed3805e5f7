# SPDX-License-Identifier: Apache-2.0
"""Cross-validation: train on all other folds for a fixed number of epochs, select nothing, score once.

Interval: 95 % bootstrap over groups of the pooled out-of-fold predictions, averaged over seeds; the spread
over seeds stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np

from auricle.data.manifest import Manifest
from auricle.data.splits import Fold, Split, crossval_folds
from auricle.errors import RunError, TrainingError
from auricle.evaluation.report import pooled_metrics, selection_figures
from auricle.files import FolderLock, atomic_write, read_json, sweep_orphans, write_json
from auricle.processors import usable_processors
from auricle.progress import Progress
from auricle.recipe.schema import Recipe, dump_recipe, stored_recipe, with_values
from auricle.results import Failure, FloatArray, Interval, failure_rows
from auricle.runtime.detector import load
from auricle.training.bundling import Trained, finish, score_held_out
from auricle.training.devices import require_device
from auricle.training.preparation import prepare_run
from auricle.training.resume import interrupted_state
from auricle.training.run import fit

NO_DEV = np.zeros(0, np.int64)


@dataclass(frozen=True)
class CrossvalResult:
    """What a cross-validation measured.

    Attributes:
        metrics: pooled over folds, averaged over seeds, with 95 % intervals.
        by_seed: the same figures for each seed.
        by_fold: for each fold, the selection figure of each seed.
        n: clips scored (once a seed).
        failures: recordings that cannot be read, and why: the figures are over the others.
        data_hash: of the data.
        parameters: of the network.
        recipe: as used.
    """

    metrics: Mapping[str, Interval]
    by_seed: Mapping[int, Mapping[str, float]]
    by_fold: Mapping[str, Sequence[float]]
    n: int
    data_hash: str
    parameters: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle crossval``."""
        return {
            "n": self.n,
            "data_hash": self.data_hash,
            "parameters": self.parameters,
            "metrics": {k: v.to_dict() for k, v in self.metrics.items()},
            "by_seed": {str(k): dict(v) for k, v in self.by_seed.items()},
            "by_fold": {k: list(v) for k, v in self.by_fold.items()},
            "recipe": dict(self.recipe),
            "failures": failure_rows(self.failures),
        }


@dataclass(frozen=True)
class Job:
    """One fold with one seed, and where it goes."""

    fold: Fold
    seed: int
    folder: Path


def run_crossval(
    manifest: Manifest,
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    out: Path,
    jobs: int,
    progress: Progress,
) -> CrossvalResult:
    """Cross-validate a recipe; what is finished in ``out`` is kept and not trained again.

    Args:
        manifest: the data.
        recipe: trained as it is for every fold; its seed is replaced.
        seeds: of the repetitions.
        out: gets ``fold<K>/`` (``seed<S>/fold<K>/`` for several seeds) and ``results.json``.
        jobs: folds trained at once, each with an equal share of the cores.
        progress: listener; with several jobs it is called for folds only.
    """
    require_device(recipe.run)
    with FolderLock(out):
        _acquire_output(out, manifest, recipe)
        material = prepare_run(manifest, recipe, progress).material  # decodes once, for all jobs
        folds = crossval_folds(material.manifest)
        todo = [
            Job(fold, seed, (out if len(seeds) == 1 else out / f"seed{seed}") / f"fold{_file_name(fold.name)}")
            for seed in seeds
            for fold in folds
        ]
        waiting = [job for job in todo if not (job.folder / "scores.npz").is_file()]
        _run_all(waiting, manifest, recipe, jobs, progress)
        result = replace(
            _pool(todo, material.manifest, material.targets, material.recipe, seeds), failures=material.failures
        )
        write_json(out / "results.json", result.to_dict())
    return result


def _file_name(fold: str) -> str:
    """Return the name of a fold, which comes from the user's table, as part of a file name."""
    return re.sub(r"[^\w.-]", "_", fold)


def _acquire_output(out: Path, manifest: Manifest, recipe: Recipe) -> None:
    """Refuse to mix the folds of two recipes or data sets in one folder."""
    identity = {"recipe": recipe.model_dump(mode="json"), "data_hash": manifest.data_hash}
    path = out / "crossval.json"
    if path.is_file() and _stored_identity(path) != identity:
        raise RunError(f"{out} holds a cross-validation of other data or another recipe; choose another folder")
    write_json(path, identity)


def _stored_identity(path: Path) -> dict[str, Any]:
    """Return what a folder was begun with; until version 0.2 its initial weights stood beside the recipe."""
    stored = read_json(path)
    init = stored.pop("start", None)
    recipe = stored["recipe"] if init is None else {**stored["recipe"], "init": init}
    return {**stored, "recipe": stored_recipe(recipe)}


def _run_all(jobs: Sequence[Job], manifest: Manifest, recipe: Recipe, workers: int, progress: Progress) -> None:
    if workers <= 1 or len(jobs) <= 1:
        for number, job in enumerate(jobs, 1):
            progress.notice(f"fold {job.fold.name}, seed {job.seed} ({number} of {len(jobs)})")
            train_fold(job, manifest, recipe, progress)
        return
    # Side by side, each fold has its share of the cores: more threads than cores make all of them slower.
    threads = max(1, usable_processors() // workers)
    threads = threads if recipe.run.threads is None else recipe.run.threads
    share = with_values(recipe, {"run.threads": threads, "data.workers": 0})
    others = set(active_children())  # of whoever called us
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(train_fold, job, manifest, share, Progress()): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                job = waiting[future]
                figure = future.result()
                progress.notice(f"fold {job.fold.name}, seed {job.seed}: {figure} ({number} of {len(jobs)} done)")
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that trained a fold was killed from outside (out of memory?); what is finished is kept: "
                "give the same command again, with fewer --jobs if memory was short"
            ) from error
        except BaseException:
            # Whatever stopped this process stops its folds too: they save, and are taken up by the next call.
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(active_children()) - others:
                child.terminate()
            raise


def train_fold(job: Job, manifest: Manifest, recipe: Recipe, progress: Progress) -> str:
    """Train one fold into its folder and store the scores of its test clips; returns the figure as text."""
    material = prepare_run(manifest, with_values(recipe, {"seed": job.seed}), Progress()).material
    run_folder = job.folder / "run"
    run_folder.mkdir(parents=True, exist_ok=True)
    for folder in (job.folder, run_folder, run_folder / "checkpoints"):
        sweep_orphans(folder)
    atomic_write(run_folder / "recipe.yaml", dump_recipe(material.recipe).encode())
    split = Split(job.fold.train, NO_DEV, job.fold.test)
    state = interrupted_state(run_folder, material, job.fold.name, progress.notice)
    state = fit(material, split, run_folder, state, progress)
    trained = Trained(state.part("final"), material, job.seed)
    finish(job.folder, trained, job.fold.train, NO_DEV, {}, test=job.fold.test)
    scores = score_held_out(job.folder, trained, job.fold.test)
    atomic_write(job.folder / "scores.npz", lambda file: np.savez(file, scores=scores))
    figures = selection_figures(scores, material.targets[job.fold.test], material.recipe.task)
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def _read_scores(folder: Path) -> FloatArray:
    with np.load(folder / "scores.npz", allow_pickle=False) as stored:
        return np.asarray(stored["scores"], np.float32)


def _pool(
    jobs: Sequence[Job], manifest: Manifest, targets: FloatArray, recipe: Recipe, seeds: Sequence[int]
) -> CrossvalResult:
    """Pool out-of-fold scores over folds and average the figures over seeds."""
    by_seed_scores = {seed: np.zeros_like(targets) for seed in seeds}
    by_fold: dict[str, list[float]] = {}
    for job in jobs:
        scores = _read_scores(job.folder)
        by_seed_scores[job.seed][job.fold.test] = scores
        figures = selection_figures(scores, targets[job.fold.test], recipe.task)
        by_fold.setdefault(job.fold.name, []).append(next(iter(figures.values())))
    by_seed = {s: selection_figures(scores, targets, recipe.task) for s, scores in by_seed_scores.items()}
    metrics = pooled_metrics(list(by_seed_scores.values()), targets, manifest.groups(), recipe.task)
    parameters = load(jobs[0].folder).spec.provenance.parameters
    return CrossvalResult(
        metrics, by_seed, by_fold, len(targets), manifest.data_hash, parameters, recipe.model_dump(mode="json")
    )
