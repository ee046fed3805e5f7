# SPDX-License-Identifier: Apache-2.0
"""What ``train`` and ``crossval`` say on stderr while they run: decisions, time, steps, figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from auricle.cli.guard import say
from auricle.cli.progress import Meter, spell_seconds
from auricle.progress import Progress


class TrainingProgress(Progress):
    """Tells people what a run does, as a context manager; says nothing if ``quiet``."""

    def __init__(self, *, quiet: bool = False, what: str = "prepare") -> None:
        self._quiet, self._what = quiet, what
        self._files = self._ready = self._steps = 0
        self._meter = Meter(what, quiet=quiet)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what the terminal shows."""
        self._meter.close()

    def notice(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            say(text)

    def preparing(self, files: int) -> None:
        """Begin to count files."""
        self._begin(self._what)
        self._files, self._ready = files, 0

    def file_prepared(self) -> None:
        """Count one file."""
        self._ready += 1
        self._meter.update(self._ready, self._files)

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        """Say how long the run will take, and begin to count steps."""
        self._begin("train")
        self._steps = total_steps
        left = spell_seconds((total_steps - done_steps) * seconds_a_step)
        done = f", {done_steps} of them done" if done_steps else ""
        self.notice(f"train: {total_steps} steps{done}; about {left} to go")

    def step_done(self, step: int, loss: float) -> None:
        """Count one step."""
        self._meter.update(step, self._steps)

    def epoch_done(self, row: Mapping[str, float]) -> None:
        """Show the loss of the epoch and the figure that selects beside the steps; the log has the others."""
        selects = next((name for name in row if name.startswith("dev_")), None)
        names = [name for name in ("epoch", "loss", selects) if name in row]
        self._meter.note = ", ".join(f"{str(name).replace('dev_', 'dev ')} {row[str(name)]:.3g}" for name in names)

    @property
    def note(self) -> str:
        """What stands beside the steps."""
        return self._meter.note

    def _begin(self, what: str) -> None:
        self._meter.close()
        self._meter = Meter(what, quiet=self._quiet)
