# SPDX-License-Identifier: Apache-2.0
"""Logs of a run: one CSV row an epoch, and the same figures for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from auricle.files import atomic_write


class RunLog:
    """Writes ``log.csv`` and TensorBoard events into a run's folder.

    On resume both are written anew from the checkpoint's history: no epoch is logged twice, none is missing because
    a kill took it out of a buffer, and the figures are those of a run that nobody stopped.

    Args:
        folder: of the run.
        history: rows of the epochs that are done.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, float]]) -> None:
        self.path = folder / "log.csv"
        self.rows = [dict(row) for row in history]
        for old in (folder / "tensorboard").glob("events.out.tfevents.*"):
            old.unlink(missing_ok=True)
        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self._write_csv()
        for row in self.rows:
            self._write_events(row)

    def write(self, row: Mapping[str, float]) -> None:
        """Add the row of an epoch."""
        self.rows.append(dict(row))
        self._write_csv()
        self._write_events(row)

    def _write_events(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self.writer.add_scalar(name, value, int(row["step"]))

    def _write_csv(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row)) or ["epoch", "step", "loss"]
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows({k: f"{v:.9g}" for k, v in row.items()} for row in self.rows)
        atomic_write(self.path, text.getvalue().encode())

    def close(self) -> None:
        """Flush and close the event file."""
        self.writer.close()
