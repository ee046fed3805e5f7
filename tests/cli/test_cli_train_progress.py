# SPDX-License-Identifier: Apache-2.0
"""What a training run says to people."""

from __future__ import annotations

from auricle.cli.train_progress import TrainingProgress


def run(progress):
    with progress:
        progress.notice("fold 1 is test")
        progress.preparing(2)
        progress.file_prepared()
        progress.file_prepared()
        progress.training_starts(100, 40, 1.5)
        progress.step_done(41, 0.7)
        progress.epoch_done({"epoch": 5.0, "step": 41.0, "loss": 0.25, "dev_accuracy": 0.5})


def test_it_says_what_was_decided_and_how_long_it_takes(capsys):
    run(TrainingProgress())
    assert capsys.readouterr().err == "fold 1 is test\ntrain: 100 steps, 40 of them done; about 1 min 30 s to go\n"


def test_quiet_says_nothing(capsys):
    run(TrainingProgress(quiet=True))
    assert capsys.readouterr().err == ""
