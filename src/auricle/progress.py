# SPDX-License-Identifier: Apache-2.0
"""What a run says while it continues. This class says nothing; the command line's says it to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Progress:
    """Listener of a training run; override what is wanted."""

    def notice(self, text: str) -> None:
        """Something that was decided or noticed, one line."""

    def preparing(self, files: int) -> None:
        """The waveforms of ``files`` files will be decoded, or found in the cache."""

    def file_prepared(self) -> None:
        """One of them is ready."""

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        """Training begins, or continues after ``done_steps``; the time a step was measured."""

    def step_done(self, step: int, loss: float) -> None:
        """A step is done; ``step`` counts from 1."""

    def epoch_done(self, row: Mapping[str, float]) -> None:
        """An epoch is done; ``row`` is its line of the log."""


class Relay(Progress):
    """Passes everything on to another listener, and each epoch's row to a function too."""

    def __init__(self, inner: Progress, epoch_done: Callable[[Mapping[str, float]], None]) -> None:
        self._inner, self._epoch_done = inner, epoch_done

    def notice(self, text: str) -> None:
        """Pass on."""
        self._inner.notice(text)

    def preparing(self, files: int) -> None:
        """Pass on."""
        self._inner.preparing(files)

    def file_prepared(self) -> None:
        """Pass on."""
        self._inner.file_prepared()

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        """Pass on."""
        self._inner.training_starts(total_steps, done_steps, seconds_a_step)

    def step_done(self, step: int, loss: float) -> None:
        """Pass on."""
        self._inner.step_done(step, loss)

    def epoch_done(self, row: Mapping[str, float]) -> None:
        """Pass on, then call the function, which may end the run by an exception."""
        self._inner.epoch_done(row)
        self._epoch_done(row)


class Telling(Progress):
    """Hands everything on as the name of a method and its values: what can be sent to another process."""

    def __init__(self, tell: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._tell = tell

    def notice(self, text: str) -> None:
        """Hand on."""
        self._tell("notice", (text,))

    def preparing(self, files: int) -> None:
        """Hand on."""
        self._tell("preparing", (files,))

    def file_prepared(self) -> None:
        """Hand on."""
        self._tell("file_prepared", ())

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        """Hand on."""
        self._tell("training_starts", (total_steps, done_steps, seconds_a_step))

    def step_done(self, step: int, loss: float) -> None:
        """Hand on."""
        self._tell("step_done", (step, loss))

    def epoch_done(self, row: Mapping[str, float]) -> None:
        """Hand on."""
        self._tell("epoch_done", (dict(row),))
