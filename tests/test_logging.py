# SPDX-License-Identifier: Apache-2.0
"""Logging: the library is silent by itself; the command line shows it on stderr and leaves stdout to results."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli_fixtures import auricle, model, process, recordings  # noqa: F401

import auricle as library
from auricle.logs import LOGGER, StderrHandler, show_logs, show_logs_of_parent

SOURCE = Path(library.__file__).parent


@pytest.fixture(autouse=True)
def _as_before():
    logger = logging.getLogger(LOGGER)
    before = (list(logger.handlers), logger.level)
    logger.handlers[:] = [handler for handler in logger.handlers if not isinstance(handler, StderrHandler)]
    yield
    logger.handlers[:] = before[0]
    logger.setLevel(before[1])


def test_the_library_prints_nothing_and_logs_for_whoever_listens(model, recordings, caplog, capfd):  # noqa: F811
    with caplog.at_level(logging.DEBUG, LOGGER):
        library.load(model).tag(recordings / "a.wav")
    texts = [record.getMessage() for record in caplog.records]
    assert any(text.startswith("model tiny from ") and text.endswith("2 labels, float32 on cpu") for text in texts)
    assert any(text.endswith("a.wav: WAV FLOAT, 1000 Hz, 1 channels, 2 s") for text in texts)
    assert any("a.wav: 2 s scored in" in text and text.endswith("no flags") for text in texts)
    assert {record.name.partition(".")[0] for record in caplog.records} == {"auricle"}
    assert capfd.readouterr() == ("", "")


def test_warnings_do_not_reach_stderr_by_themselves():
    code = "import auricle, logging; logging.getLogger('auricle.x').warning('w'); logging.getLogger('y').warning('z')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "z\n")


def test_verbose_is_an_option_of_every_command():
    from typer.main import get_command

    from auricle.cli.main import app

    def leaves(command, name):
        if hasattr(command, "commands"):
            for word, inner in command.commands.items():
                yield from leaves(inner, f"{name} {word}")
        else:
            yield name, command

    found = dict(leaves(get_command(app), "auricle"))
    assert len(found) > 20
    assert [name for name, command in found.items() if not any("-v" in p.opts for p in command.params)] == []


def test_results_stay_alone_on_stdout(auricle, model, recordings):  # noqa: F811
    words = ("tag", recordings / "a.wav", "--model", model, "--format", "json")
    silent = auricle(*words)
    assert silent.err == ""
    once, twice = auricle(*words, "-v"), auricle(*words, "-vv")
    assert once.out == twice.out == silent.out
    assert json.loads(once.out)["error"] is None
    assert once.err.startswith("auricle: model tiny from ")
    assert len(once.err.splitlines()) == 1
    assert any("scored in" in line for line in twice.err.splitlines())
    assert auricle(*words).err == "", "the next command is silent again"


@pytest.mark.slow
def test_workers_log_as_their_parent_does(process, model, recordings, tmp_path):  # noqa: F811
    words = ("tag", recordings, "--model", model, "--out", tmp_path / "out", "-q")
    done = process(*words, "-vv")
    text = done.stderr.decode()
    assert "auricle: " + str(tmp_path / "out") + ": 3 of 3 recordings to score, 1 jobs" in text
    assert "b.wav: 1 s scored in" in text, "this is said by a worker"


def test_a_fault_inside_shows_its_traceback_twice_verbose(auricle, model, recordings, monkeypatch):  # noqa: F811
    def fail(*words, **options):
        raise RuntimeError("boom")

    monkeypatch.setattr("auricle.runtime.detector.Detector._run", fail)
    words = ("tag", recordings / "a.wav", "--model", model, "--format", "json")
    assert "Traceback" not in auricle(*words).err
    assert "RuntimeError: boom" in auricle(*words, "-vv").err


def test_records_cannot_steer_a_terminal(capsys):
    show_logs(1)
    logging.getLogger("auricle.x").info("a\x1b[2Jb")
    logging.getLogger("auricle.x").debug("not at this level")
    assert capsys.readouterr().err == "auricle: a\\x1b[2Jb\n"
    logging.getLogger(LOGGER).handlers[:] = []
    show_logs_of_parent()
    assert isinstance(logging.getLogger(LOGGER).handlers[0], StderrHandler)
    assert logging.getLogger(LOGGER).level == logging.INFO


def test_nothing_outside_the_command_line_prints():
    allowed = {"logs.py", "demo.py"}
    found = []
    for path in SOURCE.rglob("*.py"):
        if "cli" in path.parts or path.name in allowed:
            continue
        text = path.read_text("utf-8")
        if "print(" not in text:
            continue
        calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        found += [path for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert found == []
