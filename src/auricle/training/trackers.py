# SPDX-License-Identifier: Apache-2.0
"""The figures of a run in the tools that people keep them in: one adapter, and a class for each tool.

``run.track`` names the tools; none is the default, and the event files of TensorBoard are written always, which takes
no service. A tool runs in whatever mode its own variables say (``WANDB_MODE=offline``, ``MLFLOW_TRACKING_URI``). What
fails in one is said once, that tool is left, and the run goes on: no figure is worth a training. A run that is resumed
continues in the same run of the tool, by its number in ``trackers.json``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from auricle.files import read_json, write_json

log = logging.getLogger(__name__)
#: What runs belong to in each tool.
PROJECT = "auricle"
_RUNS = "trackers.json"
#: MLflow takes parameters up to this length.
_LONGEST_PARAMETER = 500


@dataclass(frozen=True)
class TrackedRun:
    """What a tool is told of a run at its beginning.

    Attributes:
        name: of the run.
        folder: of the run; where tools that keep files put them, if their variables do not say otherwise.
        recipe: every choice, by dotted names.
        id: by which the tool knows a run that is resumed; None for a new one.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    id: str | None = None


class Tracker(Protocol):
    """A tool that keeps figures over steps; anything that it raises ends it, and not the run."""

    id: str

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a step."""

    def close(self) -> None:
        """The run has ended, or was interrupted."""


class TensorBoard:
    """Event files in ``tensorboard/`` of the run; written anew on resume, so that no step stands there twice."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (all tools are imported where they are used)

        folder = run.folder / "tensorboard"
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink(missing_ok=True)
        self.id = ""
        self._writer = SummaryWriter(str(folder))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See ``Tracker``."""
        self._writer.close()


class _WandbLike:
    """Weights & Biases, and what has its functions."""

    module: str
    options: Mapping[str, Any] = {}

    def __init__(self, run: TrackedRun) -> None:
        tool = __import__(self.module)
        again = {} if run.id is None else self._resumed(run.id)
        self._run = tool.init(project=PROJECT, name=run.name, config=dict(run.recipe), **self._place(run), **again)
        self.id = str(getattr(self._run, "id", None) or run.name)
        self._finish = getattr(self._run, "finish", None) or tool.finish

    def _place(self, run: TrackedRun) -> dict[str, Any]:
        return {}

    def _resumed(self, id: str) -> dict[str, Any]:
        return {}

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        """See ``Tracker``."""
        self._finish()


class Wandb(_WandbLike):
    """Weights & Biases; its files go into the folder of the run."""

    module = "wandb"

    def _place(self, run: TrackedRun) -> dict[str, Any]:
        return {"dir": str(run.folder)}

    def _resumed(self, id: str) -> dict[str, Any]:
        return {"id": id, "resume": "allow"}


class Trackio(_WandbLike):
    """Trackio, which keeps runs on this machine by their names."""

    module = "trackio"

    def _resumed(self, id: str) -> dict[str, Any]:
        return {"resume": "allow"}


class MLflow:
    """MLflow, by its client: nothing of the process's active run is touched."""

    def __init__(self, run: TrackedRun) -> None:
        from mlflow.tracking import MlflowClient  # noqa: PLC0415

        self._client = MlflowClient()
        if run.id is not None:
            self.id = run.id
            self._client.update_run(run.id, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(PROJECT)
        experiment = self._client.create_experiment(PROJECT) if found is None else found.experiment_id
        self.id = str(self._client.create_run(experiment, run_name=run.name).info.run_id)
        for name, value in run.recipe.items():
            self._client.log_param(self.id, name, str(value)[:_LONGEST_PARAMETER])

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        for name, value in figures.items():
            self._client.log_metric(self.id, name, value, step=step)

    def close(self) -> None:
        """See ``Tracker``."""
        self._client.set_terminated(self.id)


TRACKERS: Mapping[str, Callable[[TrackedRun], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "mlflow": MLflow,
    "trackio": Trackio,
}
#: What is written without being asked for: files in the folder of the run, and no service.
ALWAYS = ("tensorboard",)


class Trackers:
    """The tools of a run together.

    Args:
        names: keys of ``TRACKERS``, beside those that are always there.
        folder: of the run.
        recipe: of the run, by dotted names.
        history: rows of the epochs that are done: those of a run that is resumed.
    """

    def __init__(
        self, names: Sequence[str], folder: Path, recipe: Mapping[str, Any], history: Sequence[Mapping[str, float]]
    ) -> None:
        self._open: dict[str, Tracker] = {}
        known = read_json(folder / _RUNS) if history and (folder / _RUNS).is_file() else {}
        name = folder.parent.name if folder.name == "run" else folder.name
        for tool in dict.fromkeys((*ALWAYS, *names)):
            self._try(tool, lambda tool=tool: self._begin(tool, TrackedRun(name, folder, recipe, known.get(tool))))  # type: ignore[misc]
        ids = {tool: found.id for tool, found in self._open.items() if found.id}
        if ids:
            write_json(folder / _RUNS, ids)
        for row in history:
            self._to_all(row, ALWAYS)

    def _begin(self, tool: str, run: TrackedRun) -> None:
        self._open[tool] = TRACKERS[tool](run)

    def write(self, row: Mapping[str, float]) -> None:
        """Pass the row of an epoch on."""
        self._to_all(row, tuple(self._open))

    def close(self) -> None:
        """End the run in all tools."""
        for tool, tracker in list(self._open.items()):
            self._try(tool, tracker.close)
        self._open.clear()

    def _to_all(self, row: Mapping[str, float], tools: Sequence[str]) -> None:
        step = int(row["step"])
        figures = {name: value for name, value in row.items() if name not in ("epoch", "step")}
        for tool in tools:
            if (tracker := self._open.get(tool)) is not None:
                self._try(tool, lambda tracker=tracker: tracker.write(step, figures))  # type: ignore[misc]

    def _try(self, tool: str, action: Callable[[], None]) -> None:
        """Do something in a tool; one that fails is left, and that is said once."""
        try:
            action()
        except ModuleNotFoundError as error:
            self._open.pop(tool, None)
            advice = (
                f"; do: pip install 'auricle[{tool}]'" if error.name and error.name.partition(".")[0] == tool else ""
            )
            log.warning("run.track: %s is left, the run goes on: %s is not installed%s", tool, error.name, advice)
        except Exception as error:  # noqa: BLE001 (whatever a tool does, the run goes on)
            self._open.pop(tool, None)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            log.warning("run.track: %s is left, the run goes on: %s", tool, text[:300])


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested values by dotted names.

    >>> flat({"a": {"b": 1}, "c": [2, 3]})
    {'a.b': 1, 'c': [2, 3]}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = flat(value, f"{before}{name}.") if isinstance(value, Mapping) and value else {f"{before}{name}": value}
        found |= inner
    return found
