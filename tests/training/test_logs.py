# SPDX-License-Identifier: Apache-2.0
"""The log of a run: one row an epoch, none twice."""

from __future__ import annotations

import csv

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from auricle.training.logs import RunLog

ROWS = [
    {"epoch": 1.0, "step": 10.0, "loss": 1.25},
    {"epoch": 2.0, "step": 20.0, "loss": 1 / 3, "dev_accuracy": 0.5},
    {"epoch": 3.0, "step": 30.0, "loss": 0.2, "dev_accuracy": 0.75},
]


def read(folder) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_an_epoch(tmp_path):
    log = RunLog(tmp_path, [])
    assert (tmp_path / "log.csv").read_text() == "epoch,step,loss\n"
    for row in ROWS:
        log.write(row)
    log.close()
    assert read(tmp_path) == [
        {"epoch": "1", "step": "10", "loss": "1.25", "dev_accuracy": ""},
        {"epoch": "2", "step": "20", "loss": "0.333333333", "dev_accuracy": "0.5"},
        {"epoch": "3", "step": "30", "loss": "0.2", "dev_accuracy": "0.75"},
    ]


def test_resume_forgets_epochs_that_were_lost(tmp_path):
    log = RunLog(tmp_path, [])
    for row in ROWS:
        log.write(row)
    log.close()
    again = RunLog(tmp_path, ROWS[:1])
    assert [row["epoch"] for row in read(tmp_path)] == ["1"]
    again.write(ROWS[1])
    again.close()
    assert [row["epoch"] for row in read(tmp_path)] == ["1", "2"]


def test_tensorboard_gets_the_same_figures(tmp_path):
    log = RunLog(tmp_path, [])
    for row in ROWS:
        log.write(row)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(events.Tags()["scalars"]) == ["dev_accuracy", "loss"]
    assert [(e.step, round(e.value, 6)) for e in events.Scalars("loss")] == [(10, 1.25), (20, 0.333333), (30, 0.2)]
