# SPDX-License-Identifier: Apache-2.0
"""Options written once as a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from auricle.cli.option_groups import grouped


@dataclass(frozen=True)
class Common:
    """Two options."""

    quiet: Annotated[bool, typer.Option("--quiet")] = False
    jobs: Annotated[int, typer.Option("--jobs", min=1)] = 1


def run(*words):
    seen = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @grouped
    def command(path: str, *, top: int = 5, common: Common) -> None:
        """Do something."""
        seen.append((path, top, common))

    with pytest.raises(SystemExit) as caught:
        app(list(words), prog_name="x")
    return caught.value.code, seen


def test_a_group_has_its_defaults_and_takes_what_is_given():
    assert run("a.wav") == (0, [("a.wav", 5, Common(False, 1))])
    assert run("a.wav", "--top", "3", "--jobs", "4", "--quiet") == (0, [("a.wav", 3, Common(True, 4))])


def test_what_the_options_say_of_themselves_holds(capsys):
    assert run("a.wav", "--jobs", "0")[0] == 2
    assert "--jobs" in capsys.readouterr().err


def test_they_stand_in_the_help(capsys):
    run("--help")
    help_text = capsys.readouterr().out
    assert help_text.index("--top") < help_text.index("--quiet") < help_text.index("--jobs")
