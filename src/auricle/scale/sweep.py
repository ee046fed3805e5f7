# SPDX-License-Identifier: Apache-2.0
"""Search over recipes with Optuna (Akiba et al. 2019): TPE proposes, a median pruner gives up what falls behind.

All trials train on the same clips and are compared on the same dev clips. Test clips are left alone: no trial
scores them. The folder holds all that is needed to continue:

    sweep.json       what is searched, over which data
    trials.journal   Optuna's log of every trial, one JSON object a line
    trials/0007/     the run of trial 7, with its checkpoints
    results.json     the table so far
    best.yaml        the best recipe so far, for ``auricle train --recipe``
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auricle.data.splits import make_split
from auricle.errors import ConfigError, Interrupted, RunError, TrainingError, UsageError
from auricle.files import FolderLock, atomic_write, read_json, write_json
from auricle.output_folder import OutputFolder
from auricle.recipe.schema import Recipe, dump_recipe, stored_recipe, with_values
from auricle.results import Failure, failure_rows
from auricle.scale.space import Axis, Sweep

if TYPE_CHECKING:
    import optuna

    from auricle.data.manifest import Manifest
    from auricle.progress import Progress

DESCRIPTION, JOURNAL, RESULTS, BEST = "sweep.json", "trials.journal", "results.json", "best.yaml"
STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "unfinished", "WAITING": "unfinished"}


@dataclass(frozen=True)
class TrialRow:
    """One line of the table.

    Attributes:
        number: of the trial, from 0.
        state: ``done``, ``pruned`` (given up early), ``failed`` or ``unfinished`` (interrupted).
        score: best dev score of its epochs; None without any.
        epochs: that were trained.
        values: of the searched keys.
        reason: why it failed.
    """

    number: int
    state: str
    score: float | None
    epochs: int
    values: dict[str, Any]
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--format json`` prints."""
        return dict(vars(self))


@dataclass(frozen=True)
class SweepResult:
    """The table of a sweep.

    Attributes:
        path: folder.
        metric: what the scores are, on dev clips.
        n_dev: number of dev clips.
        keys: that were searched.
        trials: best first; those without a score at the end.
        failures: recordings that cannot be read, and why: no trial has them.
    """

    path: str
    metric: str
    n_dev: int
    keys: tuple[str, ...]
    trials: tuple[TrialRow, ...]
    failures: Mapping[str, Failure] = field(default_factory=dict)

    @property
    def best(self) -> TrialRow | None:
        """The best trial that was trained to its end; None if there is none yet."""
        return next((row for row in self.trials if row.state == "done"), None)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--format json`` prints."""
        return {
            "path": self.path,
            "metric": self.metric,
            "n_dev": self.n_dev,
            "keys": list(self.keys),
            "best": None if self.best is None else self.best.to_dict(),
            "trials": [row.to_dict() for row in self.trials],
            "failures": failure_rows(self.failures),
        }


def run_sweep(sweep: Sweep, manifest: Manifest, out: Path, progress: Progress, *, resume: bool = False) -> SweepResult:
    """Train trials until there are as many as the sweep asks for.

    Args:
        sweep: what is searched.
        manifest: the data; its test part, or one chosen by the caller, must be gone already.
        out: folder; must be new or empty, unless ``resume``.
        progress: listener.
        resume: resume the sweep in ``out``; an unfinished trial resumes from its last checkpoint.

    Raises:
        RunError: the folder is not empty, in use, or holds another sweep.
        Interrupted: after Ctrl-C or SIGTERM; the state of the trial was saved.
    """
    import optuna  # noqa: PLC0415 (the extra `train`)

    if sweep.recipe.data.dev == "none":
        raise UsageError("a sweep compares trials on dev clips, and data.dev none leaves it none; give given or inside")
    from auricle.training.devices import require_device  # noqa: PLC0415 (the extra `train`)

    require_device(sweep.recipe.run)
    _require_dev(sweep, manifest)
    _acquire_output(out, resume=resume)
    with FolderLock(out):
        _describe(sweep, manifest, out)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = _open_study(sweep, out)
        search = _Search(sweep, manifest, out, progress, study)
        search.take_up_unfinished()
        while search.finished() < sweep.section.trials:
            search.step()
        return search.table()


def _require_dev(sweep: Sweep, manifest: Manifest) -> None:
    """Refuse data that is too little for a dev part: there is nothing to compare trials on."""
    data = sweep.recipe.data
    split = make_split(
        manifest,
        dev=data.dev,
        dev_fraction=data.dev_fraction,
        dev_systems=data.dev_systems if data.dev == "inside" else (),
        seed=sweep.recipe.seed,
    )
    if len(split.dev) == 0:
        raise UsageError(f"a sweep compares trials on dev clips, and {manifest.root} has {split.notes[-1]}")


def _acquire_output(out: Path, *, resume: bool) -> None:
    """Take the output folder, or say why not."""
    begun = (out / DESCRIPTION).is_file()
    OutputFolder(out, "a sweep", replaceable=False).require_own(begun, resume=resume)
    out.mkdir(parents=True, exist_ok=True)


def _describe(sweep: Sweep, manifest: Manifest, out: Path) -> None:
    """Write what is searched, or make sure that it is what the folder was begun with."""
    now = {**sweep.to_dict(), "data_hash": manifest.data_hash}
    path = out / DESCRIPTION
    if not path.is_file():
        write_json(path, now)
        return
    before = read_json(path)
    before = {**before, "recipe": stored_recipe(before["recipe"])}
    if before != now:
        other = [name for name in now if before.get(name) != now[name]]
        raise RunError(
            f"{out} cannot continue: it was begun with another {' and '.join(other)} (see {path}); "
            "give the same ones, or choose another folder"
        )


def _open_study(sweep: Sweep, out: Path) -> optuna.Study:
    """Open the journal; the sampler is seeded by what it knows, so that going on repeats no proposal."""
    import optuna  # noqa: PLC0415
    from optuna.storages import JournalStorage  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

    section = sweep.section
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / JOURNAL))),
        study_name="sweep",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.NopPruner()
        if section.pruner == "none"
        else optuna.pruners.MedianPruner(section.startup_trials, section.warmup_epochs),
    )
    known = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=1_000_003 * sweep.recipe.seed + known)
    return study


class _Search:
    """The trials of one sweep.

    Args:
        sweep: what is searched.
        manifest: the data without test clips.
        out: folder of the sweep.
        progress: listener.
        study: Optuna's.
    """

    def __init__(self, sweep: Sweep, manifest: Manifest, out: Path, progress: Progress, study: optuna.Study) -> None:
        self.sweep, self.manifest, self.out, self.progress, self.study = sweep, manifest, out, progress, study

    def take_up_unfinished(self) -> None:
        """Queue what an interrupted call left in the middle: the same values again, in the same folder."""
        from optuna.trial import TrialState  # noqa: PLC0415

        for name, trial in self._latest().items():
            if trial.state == TrialState.RUNNING:
                # Optuna runs no trial twice: a copy takes this one's place and its folder.
                self.study.enqueue_trial(trial.params, user_attrs={"folder": name})
                self.study.tell(trial.number, state=TrialState.FAIL)

    def finished(self) -> int:
        """Return how many trials came to an end, good or bad."""
        return sum(trial.state.is_finished() for trial in self._latest().values())

    def step(self) -> None:
        """Train one trial and note how it ended."""
        import optuna  # noqa: PLC0415
        from optuna.trial import TrialState  # noqa: PLC0415

        trial = self.study.ask()
        folder = self.out / "trials" / _folder_name(trial)
        values = {axis.key: _propose(trial, axis) for axis in self.sweep.axes}
        count = f"trial {self.finished() + 1} of {self.sweep.section.trials}"
        self.progress.notice(f"{count}: {', '.join(f'{key}={value}' for key, value in values.items())}")
        try:
            self.study.tell(trial, self._train(trial, with_values(self.sweep.recipe, values), folder))
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            self.progress.notice(f"{count} was given up: it is behind the median of the others")
        except (ConfigError, TrainingError) as error:
            trial.set_user_attr("reason", " ".join(str(error).split()))
            self.study.tell(trial, state=TrialState.FAIL)
            self.progress.notice(f"{count} failed: {error}")
        except Interrupted as error:
            raise Interrupted(f"{count} {error.message}", error.exit_code) from error
        finally:
            self.table()
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # of no use any more; its log stays

    def _train(self, trial: optuna.Trial, recipe: Recipe, folder: Path) -> float:
        """Train one trial, or resume it; returns its best dev score."""
        import optuna  # noqa: PLC0415 (with what follows, the extra `train`)

        from auricle.progress import Relay  # noqa: PLC0415
        from auricle.training.checkpoint import State, last_good_state  # noqa: PLC0415
        from auricle.training.preparation import prepare_run  # noqa: PLC0415
        from auricle.training.run import fit  # noqa: PLC0415

        prepared = prepare_run(self.manifest, recipe, self.progress)
        material, split = prepared.material, prepared.split
        self.study.set_user_attr("n_dev", len(split.dev))
        self.study.set_user_attr("failures", {key: [f.code, f.message] for key, f in material.failures.items()})
        folder.mkdir(parents=True, exist_ok=True)
        # sweep.json says that recipe and data are the same
        saved = last_good_state(folder / "checkpoints", self.progress.notice)
        state = State() if saved is None else saved
        report = _reporting(trial)
        for row in state.history:
            report(row)

        def judge(row: Mapping[str, float]) -> None:
            report(row)
            if trial.should_prune():
                raise optuna.TrialPruned

        state = fit(material, split, folder, state, Relay(self.progress, judge))
        if state.best_score is None:
            raise TrainingError("no epoch was scored")
        return state.best_score

    def _latest(self) -> dict[str, optuna.trial.FrozenTrial]:
        """Return the trial of each folder; of one and its copy, the copy."""
        return {_folder_name(trial): trial for trial in self.study.get_trials(deepcopy=False)}

    def table(self) -> SweepResult:
        """Return the table so far; writes it, and the best recipe, into the folder."""
        rows = [_row(name, trial, self.sweep.axes) for name, trial in self._latest().items()]
        rows.sort(key=lambda row: (row.score is None, 0.0 if row.score is None else -row.score, row.number))
        keys = tuple(axis.key for axis in self.sweep.axes)
        known = self.study.user_attrs
        failures = {key: Failure(*values) for key, values in known.get("failures", {}).items()}
        metric, n_dev = known.get("metric", "score"), known.get("n_dev", 0)
        result = SweepResult(str(self.out), metric, n_dev, keys, tuple(rows), failures)
        write_json(self.out / RESULTS, result.to_dict())
        if result.best is not None:
            recipe = with_values(self.sweep.recipe, result.best.values)
            atomic_write(self.out / BEST, dump_recipe(recipe).encode())
        return result


def _reporting(trial: optuna.Trial) -> Callable[[Mapping[str, float]], None]:
    """Return what tells Optuna the dev score of an epoch."""

    def report(row: Mapping[str, float]) -> None:
        name, score = next((key, value) for key, value in row.items() if key.startswith("dev_"))
        trial.report(score, int(row["epoch"]))
        trial.study.set_user_attr("metric", name.removeprefix("dev_"))

    return report


def _folder_name(trial: optuna.Trial | optuna.trial.FrozenTrial) -> str:
    """Return the name of a trial's folder: its number, or that of the trial it is a copy of."""
    return str(trial.user_attrs.get("folder", f"{trial.number:04d}"))


def _propose(trial: optuna.Trial, axis: Axis) -> Any:
    """Ask Optuna for the value of one key."""
    if axis.kind == "choice":
        return json.loads(trial.suggest_categorical(axis.key, axis.choices))
    if axis.kind == "int":
        return trial.suggest_int(axis.key, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.key, axis.low, axis.high, log=axis.log)


def _row(name: str, trial: optuna.trial.FrozenTrial, axes: Sequence[Axis]) -> TrialRow:
    """Return a trial's line of the table."""
    scores = trial.intermediate_values
    values = {
        axis.key: json.loads(trial.params[axis.key]) if axis.kind == "choice" else trial.params[axis.key]
        for axis in axes
        if axis.key in trial.params
    }
    score = max(scores.values()) if scores else None
    return TrialRow(int(name), STATES[trial.state.name], score, len(scores), values, trial.user_attrs.get("reason"))
