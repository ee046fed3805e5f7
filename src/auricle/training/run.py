# SPDX-License-Identifier: Apache-2.0
"""One training run from a data set to a model folder, and its continuation."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from auricle.data.splits import Split
from auricle.errors import RunError
from auricle.evaluation.report import make_report
from auricle.files import FolderLock, atomic_write, read_json, sweep_orphans, write_json
from auricle.nn.modules.mobilenet import MobileNet
from auricle.nn.networks import Network, build_network
from auricle.output_folder import OutputFolder
from auricle.progress import Progress
from auricle.recipe.requests import TrainRequest
from auricle.recipe.schema import Recipe, dump_recipe
from auricle.results import Interval, Report, RunResult
from auricle.runtime.bundle import load_bundle
from auricle.runtime.spec import LlrPart
from auricle.timeline import FrameGrid
from auricle.training.bundling import IntArray, Trained, clip_rows, clips_of, finish, score_held_out
from auricle.training.card import model_card
from auricle.training.checkpoint import State, last_good_state
from auricle.training.dev_scores import DevRow, dev_figures, score_rows
from auricle.training.devices import require_device
from auricle.training.distributed import ALONE, Group, join_group
from auricle.training.fit_class_layers import fit_class_layers, with_fitted_branch
from auricle.training.fit_statistics import fit_clip_statistics
from auricle.training.guards import constant_scores
from auricle.training.init_weights import begin_at_prior, initial_weights
from auricle.training.loop import Loop, TrainingSet, final_weights
from auricle.training.preparation import Material, prepare_run, read_training_data, rebuild_cache, training_set
from auricle.training.request_recipe import recipe_of
from auricle.training.resume import differences, fingerprint, fork_state, load_source
from auricle.training.spoof_calibration import calibrate_inside, wants_calibration
from auricle.training.summary import advice, class_rows

RUN_FOLDER = "run"
RECIPE_FILE = "recipe.yaml"
CHECKPOINTS = "checkpoints"
SPEC_FILE = "auricle.json"
#: In the run's folder, of the run that is going on: its lock, and what Ray Train keeps while it lasts.
KEPT = ("lock", "ray")


@dataclass(frozen=True)
class Run:
    """A request to train, with its recipe read. A fork goes from ``source`` to ``out``."""

    request: TrainRequest
    recipe: Recipe

    @property
    def out(self) -> Path:
        """The folder of the model."""
        return Path(self.request.out if self.request.fork is None else self.request.fork)

    @property
    def source(self) -> Path | None:
        """The folder of the run that is forked."""
        return None if self.request.fork is None else Path(self.request.out)

    @property
    def folder(self) -> Path:
        """What the run keeps for itself, inside the folder of the model."""
        return self.out / RUN_FOLDER


def open_run(request: TrainRequest) -> Run:
    """Read the recipe of a request."""
    return Run(request, recipe_of(request))


def run_training(run: Run, progress: Progress) -> RunResult:
    """Train, or resume a run, and write the model folder.

    Under ``torchrun`` or Ray Train the first process reads and writes; all of them train.

    Raises:
        RunError: the folder is not empty, in use, or belongs to another run.
        DataError, ConfigError: with all problems.
        Interrupted: after Ctrl-C or SIGTERM; the state was saved.
        TrainingError: a loss that is not finite.
    """
    with ExitStack() as stack:
        group = stack.enter_context(join_group())
        group.first(lambda: acquire_output(run, stack))
        return train_in_acquired(run, progress, group)


def train_in_acquired(run: Run, progress: Progress, group: Group) -> RunResult:
    """Train in a folder that is claimed already, by the process that leads or by one that started it."""
    listener = progress if group.leads else Progress()
    begun = group.first(lambda: _begin(run, listener))
    if isinstance(begun, RunResult):
        return begun
    material, split, state = begun
    if not group.leads:
        material = rebuild_cache(material, group)
    group.wait()
    state = fit(material, split, run.folder, state, listener, group)
    calibration: LlrPart | None = None
    if wants_calibration(material, split):

        def train_part(part: Split, folder: Path, begin: State) -> State:
            return fit(material, part, folder, begin, listener, group)

        calibration = calibrate_inside(material, split, run.folder, train_part, group, listener)
    return group.first(lambda: _conclude(run, material, split, state, calibration))


def _begin(run: Run, progress: Progress) -> RunResult | tuple[Material, Split, State]:
    """Read the data; returns the result of a run that is done, else all that training needs."""
    finished = _already_finished(run, progress)
    if finished is not None:
        return finished
    require_device(run.recipe.run)
    manifest = read_training_data(run.request.source, run.recipe, progress)
    recipe = recipe_of(run.request, manifest, progress)
    prepared = prepare_run(manifest, recipe, progress, test_fold=run.request.test_fold)
    material, split = prepared.material, prepared.split
    for note in split.notes:
        progress.notice(note)
    for absent in (flag.to_dict() for flag in split.flags):
        text = f"{absent['part']} has no clip of {absent['count']} classes (first: {absent['first']!r})"
        progress.notice(f"flag class_missing: {text}{'; they cannot be learnt' if absent['part'] == 'train' else ''}")
    progress.notice(
        f"{len(split.train)} clips to train, {len(split.dev)} dev, {len(split.test)} test; "
        f"{len(material.manifest.labels)} classes, task {material.recipe.task}"
    )
    if run.request.overwrite:
        _empty(run.out, run.folder)  # not earlier: data that cannot be used must not cost a model
    state = _find_state(run, material, split, progress)
    atomic_write(run.folder / RECIPE_FILE, dump_recipe(material.recipe).encode())
    return material, split, state


def fit(
    material: Material,
    split: Split,
    folder: Path,
    state: State,
    progress: Progress,
    group: Group = ALONE,
) -> State:
    """Run the loop over a prepared data set; returns the final state."""
    recipe = material.recipe
    if recipe.run.threads is not None:
        torch.set_num_threads(recipe.run.threads)
    torch.manual_seed(recipe.seed)
    data = training_set(material, split.train, progress)
    network = build_network(recipe, len(material.manifest.labels))
    is_fitted = state.step == 0 and _begin_weights(network, material, split.train)
    if recipe.init.given and isinstance(network, MobileNet):
        _fix_layers(network, data, new_head=recipe.init.new_head)

    def score_dev(candidate: Network) -> dict[str, float]:
        clips = group.shard([material.manifest.clips[i] for i in split.dev])
        rows = group.gather_shards(score_rows(candidate, material, clips))
        return group.first(lambda: judge(rows, candidate.grid))

    def judge(rows: Sequence[DevRow], grid: FrameGrid) -> dict[str, float]:
        if (symptom := constant_scores(np.stack([row.scores for row in rows]))) is not None:
            progress.notice(symptom)
        clips = [material.manifest.clips[i] for i in split.dev]
        return dev_figures(rows, clips, material.targets[split.dev], material, grid)

    loop = Loop(
        recipe=recipe,
        network=network,
        target=material.target,
        data=data,
        reader=material.reader,
        score_dev=score_dev if len(split.dev) else None,
        folder=folder,
        state=state,
        progress=progress,
        group=group,
        is_fitted=is_fitted,
    )
    state = loop.fit()
    weights = final_weights(state, selected=len(split.dev) > 0, keep=recipe.init.keep)
    if data.frames_apart:
        progress.notice("fitting frame scores on scenes of the training clips")
        weights = with_fitted_branch(weights, material, split.train)
    state.tensors |= {f"final.{name}": value for name, value in weights.items()}
    return state


def _begin_weights(network: Network, material: Material, train: IntArray) -> bool:
    """Set the weights that a run begins with; returns whether the last layers were fitted."""
    init = material.recipe.init
    if not material.has_labels:
        begin_at_prior(network.head, material.targets[train])
    if init.given:
        initial_weights(network, init.model, material, new_head=init.new_head)
    fit_clip_statistics(network, material, train)
    return init.new_head and fit_class_layers(network, material, train)


def _fix_layers(network: MobileNet, data: TrainingSet, *, new_head: bool) -> None:
    """Leave alone what knows its work already: norms; a fitted last layer, which those below it learn to suit."""
    network.fixed_norms = True
    if new_head:
        network.head[-1].requires_grad_(requires_grad=False)
    if data.frames_apart:
        nn.ModuleList([network.branch, network.frame_head]).requires_grad_(requires_grad=False)


def acquire_output(run: Run, stack: ExitStack) -> None:
    """Take the output folder until ``stack`` is closed; raises ``RunError`` saying why not."""
    request, out, run_folder, init = run.request, run.out, run.folder, run.recipe.init
    OutputFolder(out).require_folder()
    if request.overwrite and init.given and Path(init.model).resolve() == out.resolve():
        raise RunError(f"--init and --out are both {out}, which --overwrite would empty first; choose another --out")
    if run.source is not None:
        _require_forkable(request, run.source)
    for folder in (out, run_folder, run_folder / CHECKPOINTS):
        sweep_orphans(folder)
    begun = (out / SPEC_FILE).is_file() or (run_folder / RECIPE_FILE).is_file()
    # What a run leaves that failed before it began is nothing to lose.
    unimportant = frozenset() if OutputFolder(run_folder).names() else frozenset({RUN_FOLDER})
    output = OutputFolder(out, "a model", unimportant=unimportant)
    output.require_own(begun, resume=request.resume, overwrite=request.overwrite)
    run_folder.mkdir(parents=True, exist_ok=True)
    stack.enter_context(FolderLock(run_folder))


def _require_forkable(request: TrainRequest, source: Path) -> None:
    """Refuse a fork of nothing, or one that is something else at the same time."""
    if request.resume or request.overwrite:
        raise RunError("--fork resumes the run of --out in a new folder: leave out --resume, --overwrite")
    if not (source / RUN_FOLDER / RECIPE_FILE).is_file():
        raise RunError(f"{source} holds no run; --fork takes the folder of a new one, --out that of the old one")


def _empty(out: Path, run_folder: Path) -> None:
    """Remove what an earlier run left, but what this one holds."""
    for path in [*out.iterdir(), *run_folder.iterdir()]:
        if path == run_folder or path.name in KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _already_finished(run: Run, progress: Progress) -> RunResult | None:
    """Return the result of a run that is done, when asked to resume it."""
    done = (run.folder / "result.json").is_file() and (run.out / SPEC_FILE).is_file()
    if not (run.request.resume and done):
        return None
    load_bundle(run.out)
    progress.notice(f"{run.out} is finished; nothing to do")
    return stored_result(run.out)


def stored_result(out: Path) -> RunResult:
    """Return the result of a run that is done, as it was noted in its folder."""
    stored = read_json(out / RUN_FOLDER / "result.json")
    test = None if stored["test"] is None else _stored_report(stored["test"])
    classes, warnings = stored.get("classes", ()), stored.get("warnings", ())  # absent before 0.2
    epochs, steps = int(stored["epochs"]), int(stored["steps"])
    return RunResult(str(out), epochs, steps, stored["dev"], test, classes=classes, warnings=warnings)


def _stored_report(values: dict[str, Any]) -> Report:
    """Return the report that ``Report.to_dict`` gave these values of."""
    metrics = {name: Interval(**figure) for name, figure in values["metrics"].items()}
    details = {k: v for k, v in values.items() if k not in ("n", "data_hash", "metrics", "per_class")}
    return Report(metrics, values["per_class"], values["n"], values["data_hash"], details)


def _find_state(run: Run, material: Material, split: Split, progress: Progress) -> State:
    """Return the state to resume from: that of a run to fork, or of this run when resuming, else a fresh one."""
    fresh = State(fingerprint=fingerprint(material, run.request.test_fold))
    source = run.source
    if source is not None:
        state = load_source(source, progress.notice)
        changes = differences(state.fingerprint, fresh.fingerprint)
        for change in changes:
            progress.notice(f"fork: {change}")
        clips = len(training_set(material, split.train).clips)
        state = fork_state(source, state, run.folder, fresh.fingerprint, changes, material, clips)
        progress.notice(f"forked from {source}, resuming at step {state.step}")
        return state
    if not run.request.resume:
        return fresh
    found = last_good_state(run.folder / CHECKPOINTS, progress.notice)
    if found is None:
        progress.notice("no checkpoint yet: starting from step 0")
        return fresh
    changes = differences(found.fingerprint, fresh.fingerprint)
    if changes:
        raise RunError(
            f"{run.out} cannot continue: it was started with other settings, data or code: {'; '.join(changes)}; "
            "give the same ones, resume these in another folder with --fork, or train anew with --overwrite"
        )
    progress.notice(f"resuming at step {found.step}")
    return found


def _conclude(run: Run, material: Material, split: Split, state: State, calibration: LlrPart | None) -> RunResult:
    """Write the bundle, score the test part once, and complete the model card."""
    trained = Trained(state.part("final"), material, material.recipe.seed)
    dev = best_figures(state)
    scores = clip_rows(trained.network(), material, clips_of(material, split.dev))
    bundle = finish(run.out, trained, split.train, split.dev, dev, calibration, split.test, scores)
    report: Report | None = None
    if len(split.test):
        report = make_report([score_held_out(run.out, trained, split.test)], material.manifest.select(split.test))
        card = model_card(bundle.spec, material.manifest, dev, report)
        atomic_write(run.out / "README.md", card.encode())
    epochs = len(state.history)
    classes = class_rows(
        material.manifest.labels,
        material.targets[split.train],
        material.targets[split.dev],
        np.array(scores, np.float32),
        material.recipe.task,
        bundle.spec.thresholds,
    )
    warnings = advice(classes, len(split.dev)) if material.has_labels else []
    result = RunResult(str(run.out), epochs, state.step, dev, report, classes=classes, warnings=warnings)
    write_json(run.folder / "result.json", result.to_dict())
    return result


def best_figures(state: State) -> dict[str, float]:
    """Return the dev figures of the epoch that was selected."""
    if state.best_score is not None and state.best_epoch == 0:
        return state.first_figures
    rows = [row for row in state.history if row["epoch"] == state.best_epoch]
    return {k.removeprefix("dev_"): v for row in rows for k, v in row.items() if k.startswith("dev_")}
