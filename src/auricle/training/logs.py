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

    On resume the CSV is written anew from the checkpoint's history, and TensorBoard is told to forget what came
    after it: epochs that were lost are not logged twice.

    Args:
        folder: of the run.
        history: rows of the epochs that are done.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, float]]) -> None:
        self.path = folder / "log.csv"
        self.rows = [dict(row) for row in history]
        step = int(self.rows[-1]["step"]) + 1 if self.rows else 0
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        self._write_csv()

    def write(self, row: Mapping[str, float]) -> None:
        """Add the row of an epoch."""
        self.rows.append(dict(row))
        self._write_csv()
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
