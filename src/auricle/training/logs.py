# SPDX-License-Identifier: Apache-2.0
"""Logs of a run: one CSV row an epoch, and the same figures for the tools of ``trackers``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auricle.files import atomic_write
from auricle.training.trackers import Trackers


class RunLog:
    """Writes ``log.csv`` into a run's folder, and passes its rows on.

    On resume it is written anew from the checkpoint's history: no epoch is logged twice, none is missing because a
    kill took it out of a buffer, and the figures are those of a run that nobody stopped.

    Args:
        folder: of the run.
        history: rows of the epochs that are done.
        track: tools beside TensorBoard, see ``trackers``.
        recipe: of the run, for these, by dotted names.
    """

    def __init__(
        self,
        folder: Path,
        history: Sequence[Mapping[str, float]],
        track: Sequence[str] = (),
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = folder / "log.csv"
        self.rows = [dict(row) for row in history]
        self._trackers = Trackers(track, folder, {} if recipe is None else recipe, self.rows)
        self._write_csv()

    def write(self, row: Mapping[str, float]) -> None:
        """Add the row of an epoch."""
        self.rows.append(dict(row))
        self._write_csv()
        self._trackers.write(row)

    def _write_csv(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row)) or ["epoch", "step", "loss"]
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows({k: f"{v:.9g}" for k, v in row.items()} for row in self.rows)
        atomic_write(self.path, text.getvalue().encode())

    def close(self) -> None:
        """Flush and close what is open."""
        self._trackers.close()
