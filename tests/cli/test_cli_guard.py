# SPDX-License-Identifier: Apache-2.0
"""Whatever ends a command becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import typer

from auricle.cli.guard import guarded
from auricle.errors import ConfigError, DataError, InputError, Interrupted, RunError, UsageError


def run(error, **options):
    @guarded
    def command(**_: object) -> None:
        raise error

    with pytest.raises(typer.Exit) as caught:
        command(**options)
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UsageError("no model 'x'"), 2, "auricle: no model 'x'\n"),
        (RunError("folder in use"), 2, "auricle: folder in use\n"),
        (ConfigError("the recipe is wrong", ["a", "b"]), 2, "auricle: the recipe is wrong\n  - a\n  - b\n"),
        (DataError("the data is wrong", ["row 3"]), 2, "auricle: the data is wrong\n  - row 3\n"),
        (InputError("not_found", "no file x.wav"), 1, "auricle: no file x.wav\n"),
        (Interrupted("saved and stopped"), 130, "auricle: saved and stopped\n"),
        (Interrupted("saved and stopped", 143), 143, "auricle: saved and stopped\n"),
        (KeyboardInterrupt(), 130, "auricle: interrupted\n"),
        (
            ValueError("two\nlines"),
            1,
            "auricle: unexpected ValueError: two lines (run again with --debug to see where)\n",
        ),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            'auricle: this needs torch, which is not installed; do: pip install "auricle[train]"\n',
        ),
    ],
)
def test_an_error_is_one_line_and_a_code(error, code, text, capsys):
    assert run(error) == code
    assert capsys.readouterr().err == text


def test_a_missing_module_of_no_extra_is_unexpected(capsys):
    assert run(ModuleNotFoundError("No module named 'nope'", name="nope")) == 1
    assert "unexpected ModuleNotFoundError" in capsys.readouterr().err


def test_debug_shows_the_traceback():
    @guarded
    def command(*, debug: bool) -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        command(debug=True)


def test_a_command_s_own_exit_code_passes():
    assert run(typer.Exit(1)) == 1


def test_the_example_keeps_its_lines():
    @guarded
    def command() -> None:
        """Do it.

        Example:
          auricle do it
        """

    assert command.__doc__ == "Do it.\n\n\b\nExample:\n  auricle do it"


def test_sigterm_unwinds_and_exits_143():
    code = (
        "from auricle.cli.guard import terminate_cleanly\nimport time\nterminate_cleanly()\n"
        "try:\n    print('ready', flush=True)\n    time.sleep(30)\nfinally:\n    print('unwound', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.read() == "unwound\n"
    assert process.returncode == 143
