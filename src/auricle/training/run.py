# SPDX-License-Identifier: Apache-2.0
"""One training run from a data set to a model folder, and its continuation."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auricle.data.splits import Split, make_split
from auricle.errors import RunError
from auricle.evaluation.report import make_report
from auricle.files import FolderLock, atomic_write, read_json, sweep_orphans, write_json
from auricle.nn.networks import Network, build_network, recipe_base
from auricle.progress import Progress
from auricle.recipe.schema import Recipe, dump_recipe, load_recipe, read_values
from auricle.results import Interval, Report, RunResult
from auricle.runtime.bundle import load_bundle
from auricle.runtime.spec import LlrPart
from auricle.timeline import FrameGrid
from auricle.training.bundling import Trained, finish, score_held_out
from auricle.training.card import model_card
from auricle.training.checkpoint import State, last_good_state
from auricle.training.dev_scores import DevRow, dev_figures, score_rows
from auricle.training.distributed import ALONE, Group, join_group
from auricle.training.fit_statistics import fit_texture
from auricle.training.guards import constant_scores
from auricle.training.init_weights import begin_at_prior, initial_weights
from auricle.training.loop import Loop, final_weights
from auricle.training.preparation import Material, prepare, read_training_data, rebuild_cache, training_set, with_soft
from auricle.training.resume import differences, fingerprint, fork_state, load_source
from auricle.training.spoof_calibration import calibrate_inside, wants_calibration

RUN_FOLDER = "run"
RECIPE_FILE = "recipe.yaml"
CHECKPOINTS = "checkpoints"
SPEC_FILE = "auricle.json"
#: In the run's folder, of the run that is going on: its lock, and what Ray Train keeps while it lasts.
KEPT = ("lock", "ray")


@dataclass(frozen=True)
class Request:
    """What a caller asks of a run; see ``api.train`` for the meaning of each field.

    A fork goes from ``source`` to ``out``.
    """

    data: str | Path
    out: Path
    recipe: Recipe
    data_format: str = "auto"
    sample_rate: int | None = None
    soft: str | Path | None = None
    test_fold: str | None = None
    resume: bool = False
    overwrite: bool = False
    source: Path | None = None
    init: str | None = None
    new_head: bool = False


@dataclass(frozen=True)
class Start:
    """Weights to begin with: of which model, and whether its last layer starts anew."""

    model: str
    new_head: bool = False


def make_request_recipe(model: str, recipe: str | Path | None, overrides: Iterable[str], seed: int | None) -> Recipe:
    """Return the recipe of a run: the network's own defaults, file, then ``a.b=c`` overrides, then the seed.

    Where file or overrides name another network than ``model``, theirs counts, with its defaults.
    """
    settings = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    section = read_values(recipe, settings).get("model")
    name = section.get("name", model) if isinstance(section, dict) else model
    return load_recipe(recipe, settings, base=recipe_base(str(name)))


def run_training(request: Request, progress: Progress) -> RunResult:
    """Train, or go on with a run, and write the model folder.

    Under ``torchrun`` or Ray Train the first process reads and writes; all of them train.

    Raises:
        RunError: the folder is not empty, in use, or belongs to another run.
        DataError, ConfigError: with all problems.
        Interrupted: after Ctrl-C or SIGTERM; the state was saved.
        TrainingError: a loss that is not finite.
    """
    with ExitStack() as stack:
        group = stack.enter_context(join_group())
        group.first(lambda: acquire_output(request, stack))
        return train_in_acquired(request, progress, group)


def train_in_acquired(request: Request, progress: Progress, group: Group) -> RunResult:
    """Train in a folder that is claimed already, by the process that leads or by one that started it."""
    listener = progress if group.leads else Progress()
    begun = group.first(lambda: _begin(request, listener))
    if isinstance(begun, RunResult):
        return begun
    material, split, state = begun
    if not group.leads:
        material = rebuild_cache(material, group)
    group.wait()
    start = None if request.init is None else Start(request.init, request.new_head)
    run_folder = request.out / RUN_FOLDER
    state = fit(material, split, run_folder, state, listener, start, group)
    calibration: LlrPart | None = None
    if wants_calibration(material, split):

        def train_part(part: Split, folder: Path, begin: State) -> State:
            return fit(material, part, folder, begin, listener, start, group)

        calibration = calibrate_inside(material, split, run_folder, train_part, group, listener)
    return group.first(lambda: _conclude(request, material, split, state, calibration))


def _begin(request: Request, progress: Progress) -> RunResult | tuple[Material, Split, State]:
    """Read the data; returns the result of a run that is done, else all that training needs."""
    run_folder = request.out / RUN_FOLDER
    finished = _already_finished(request, progress)
    if finished is not None:
        return finished
    manifest = read_training_data(
        request.data,
        request.recipe,
        data_format=request.data_format,
        sample_rate=request.sample_rate,
        soft=request.soft,
    )
    for note in manifest.notes:
        progress.notice(note)
    material = prepare(manifest, with_soft(request.recipe, request.soft), progress)
    split = make_split(
        material.manifest,
        test_fold=request.test_fold,
        dev=material.recipe.data.dev,
        dev_fraction=material.recipe.data.dev_fraction,
        dev_systems=material.recipe.data.dev_systems,
        seed=material.recipe.seed,
    )
    for note in split.notes:
        progress.notice(note)
    progress.notice(
        f"{len(split.train)} clips to train, {len(split.dev)} dev, {len(split.test)} test; "
        f"{len(material.manifest.labels)} classes, task {material.recipe.task}"
    )
    if request.overwrite:
        _empty(request.out, run_folder)  # not earlier: data that cannot be used must not cost a model
    state = _find_state(request, material, split, progress)
    atomic_write(run_folder / RECIPE_FILE, dump_recipe(material.recipe).encode())
    return material, split, state


def fit(
    material: Material,
    split: Split,
    folder: Path,
    state: State,
    progress: Progress,
    start: Start | None = None,
    group: Group = ALONE,
) -> State:
    """Run the loop over a prepared data set; returns the final state."""
    recipe = material.recipe
    if recipe.run.threads is not None:
        torch.set_num_threads(recipe.run.threads)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe, len(material.manifest.labels))
    if not material.has_labels:
        begin_at_prior(network.head, material.targets[split.train])
    if start is not None and state.step == 0:
        initial_weights(network, start.model, material, new_head=start.new_head)
    if state.step == 0:
        fit_texture(network, material, split.train)

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
        data=training_set(material, split.train, progress),
        reader=material.reader,
        score_dev=score_dev if len(split.dev) else None,
        folder=folder,
        state=state,
        progress=progress,
        group=group,
    )
    return loop.fit()


def acquire_output(request: Request, stack: ExitStack) -> None:
    """Take the output folder until ``stack`` is closed; raises ``RunError`` saying why not."""
    out = request.out
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; --out takes a folder")
    if request.overwrite and request.resume:
        raise RunError("--resume goes on with a run and --overwrite throws it away: give one of them")
    if request.overwrite and request.init is not None and Path(request.init).resolve() == out.resolve():
        raise RunError(f"--init and --out are both {out}, which --overwrite would empty first; choose another --out")
    run_folder = out / RUN_FOLDER
    if request.source is not None:
        _require_forkable(request)
    for folder in (out, run_folder, run_folder / CHECKPOINTS):
        sweep_orphans(folder)
    ours = (out / SPEC_FILE).is_file() or (run_folder / RECIPE_FILE).is_file()
    if not _is_fresh(out, run_folder):
        if not (request.resume or request.overwrite):
            hint = "--resume goes on with it, --overwrite replaces it" if ours else "choose another folder"
            raise RunError(f"{out} is not empty; {hint}")
        if not ours:
            raise RunError(f"{out} holds other things than a model of auricle's; choose another folder")
    run_folder.mkdir(parents=True, exist_ok=True)
    stack.enter_context(FolderLock(run_folder))


def _require_forkable(request: Request) -> None:
    """Refuse a fork of nothing, or one that is something else at the same time."""
    if request.resume or request.overwrite or request.init is not None:
        raise RunError("--fork goes on with the run of --out in a new folder: leave out --resume, --overwrite, --init")
    if request.source is not None and not (request.source / RUN_FOLDER / RECIPE_FILE).is_file():
        raise RunError(
            f"{request.source} holds no run; --fork takes the folder of a new one, --out that of the old one"
        )


def _is_fresh(out: Path, run_folder: Path) -> bool:
    """Tell whether there is nothing to lose: no folder, or only what a run leaves that failed before it began."""
    if not out.is_dir():
        return True
    things = [path for path in out.iterdir() if path != run_folder]
    return not things and not (run_folder.is_dir() and any(path.name != "lock" for path in run_folder.iterdir()))


def _empty(out: Path, run_folder: Path) -> None:
    """Remove what an earlier run left, but what this one holds."""
    for path in [*out.iterdir(), *run_folder.iterdir()]:
        if path == run_folder or path.name in KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _already_finished(request: Request, progress: Progress) -> RunResult | None:
    """Return the result of a run that is done, when asked to resume it."""
    done = request.out / RUN_FOLDER / "result.json"
    if not request.resume or not done.is_file() or not (request.out / SPEC_FILE).is_file():
        return None
    load_bundle(request.out)
    progress.notice(f"{request.out} is finished; nothing to do")
    return stored_result(request.out)


def stored_result(out: Path) -> RunResult:
    """Return the result of a run that is done, as it was noted in its folder."""
    stored = read_json(out / RUN_FOLDER / "result.json")
    test = None if stored["test"] is None else _stored_report(stored["test"])
    return RunResult(str(out), int(stored["epochs"]), int(stored["steps"]), stored["dev"], test)


def _stored_report(values: dict[str, Any]) -> Report:
    """Return the report that ``Report.to_dict`` gave these values of."""
    metrics = {name: Interval(**figure) for name, figure in values["metrics"].items()}
    details = {k: v for k, v in values.items() if k not in ("n", "data_hash", "metrics", "per_class")}
    return Report(metrics, values["per_class"], values["n"], values["data_hash"], details)


def _find_state(request: Request, material: Material, split: Split, progress: Progress) -> State:
    """Return the state to go on from: that of a run to fork, or of this run when resuming, else a fresh one."""
    run_folder = request.out / RUN_FOLDER
    fresh = State(fingerprint=fingerprint(material, request.test_fold))
    source = request.source
    if source is not None:
        state = load_source(source, progress.notice)
        changes = differences(state.fingerprint, fresh.fingerprint)
        for change in changes:
            progress.notice(f"fork: {change}")
        clips = len(training_set(material, split.train).clips)
        state = fork_state(source, state, run_folder, fresh.fingerprint, changes, material, clips)
        progress.notice(f"forked from {source}, going on from step {state.step}")
        return state
    if not request.resume:
        return fresh
    found = last_good_state(run_folder / CHECKPOINTS, progress.notice)
    if found is None:
        progress.notice("no checkpoint yet: starting from step 0")
        return fresh
    changes = differences(found.fingerprint, fresh.fingerprint)
    if changes:
        raise RunError(
            f"{request.out} cannot go on: it was started with other settings, data or code: {'; '.join(changes)}; "
            "give the same ones, go on with these in another folder with --fork, or train anew with --overwrite"
        )
    progress.notice(f"going on from step {found.step}")
    return found


def _conclude(
    request: Request, material: Material, split: Split, state: State, calibration: LlrPart | None
) -> RunResult:
    """Write the bundle, score the test part once, and complete the model card."""
    selected = len(split.dev) > 0
    trained = Trained(final_weights(state, selected=selected), material, material.recipe.seed)
    dev = best_figures(state)
    bundle = finish(request.out, trained, split.train, split.dev, dev, calibration)
    report: Report | None = None
    if len(split.test):
        report = make_report([score_held_out(request.out, trained, split.test)], material.manifest.select(split.test))
        card = model_card(bundle.spec, material.manifest, dev, report)
        atomic_write(request.out / "README.md", card.encode())
    epochs = len(state.history)
    result = RunResult(str(request.out), epochs, state.step, dev, report)
    write_json(request.out / RUN_FOLDER / "result.json", result.to_dict())
    return result


def best_figures(state: State) -> dict[str, float]:
    """Return the dev figures of the epoch that was selected."""
    rows = [row for row in state.history if row["epoch"] == state.best_epoch]
    return {k.removeprefix("dev_"): v for row in rows for k, v in row.items() if k.startswith("dev_")}
