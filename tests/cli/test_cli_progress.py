# SPDX-License-Identifier: Apache-2.0
"""Progress goes to stderr, seldom, and not at all when it should be quiet."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from auricle.cli.progress import Meter, make_bar, spell_seconds
from auricle.cli.train_progress import TrainingProgress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (3600, "1 h 0 min"), (7260, "2 h 1 min")],
)
def test_durations_for_people(seconds, text):
    assert spell_seconds(seconds) == text


def count(total, seconds_each, capsys, *, first=1, note="", **options):
    now = [0.0]
    with Meter("tag", clock=lambda: now[0], **options) as progress:
        progress.note = note
        for done in range(first, total + 1):
            now[0] += seconds_each
            progress.update(done, total)
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_a_line_comes_every_half_minute_with_the_time_left(capsys):
    assert count(4, 20.0, capsys) == "tag: 2 of 4, about 40 s left\n"


def test_a_resumed_run_knows_its_speed_from_what_it_did_itself(capsys):
    assert count(104, 20.0, capsys, first=101, note="loss 0.5") == "tag: 102 of 104, about 40 s left, loss 0.5\n"


def test_quick_work_says_nothing(capsys):
    assert count(100, 0.1, capsys) == ""


def test_one_piece_and_quiet_say_nothing(capsys):
    assert count(1, 100.0, capsys) == ""
    assert count(5, 100.0, capsys, quiet=True) == ""


@pytest.mark.parametrize("metric", ["dev_accuracy", "dev_mAP", "dev_frame_mAP"])
@pytest.mark.parametrize("width", [80, 100])
def test_the_numbers_that_matter_fit_a_terminal_of_80_columns(metric, width):
    progress = TrainingProgress(quiet=True)
    progress.epoch_done({"epoch": 112.0, "step": 12345.0, "loss": 0.43125, "lr": 1e-3, metric: 0.8123, "dev_loss": 0.5})
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    bar = make_bar("train", 60_000, console)
    bar.update(0, completed=12_345, note=progress.note)
    console.print(bar.get_renderable())
    (line,) = console.file.getvalue().splitlines()
    for text in (
        "train",
        "12345/60000",
        "-:--:--",
        "epoch 112, loss 0.431, ",
        f"{metric.replace('dev_', 'dev ')} 0.812",
    ):
        assert text in line
