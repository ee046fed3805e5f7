# SPDX-License-Identifier: Apache-2.0
"""Fields that say what they are for, and what is made of them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, MISSING, dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer

from auricle.cli.option_groups import grouped
from auricle.recipe.options import Argument, Option, recipe_settings, request_fields, takes


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A field that several have."""

    top: Annotated[int, Option("How many.", metavar="N", least=1)] = 5


@dataclass(frozen=True)
class Asked(Shared):
    """One of each kind."""

    place: Annotated[str | os.PathLike[str], Argument("Where.", "PLACE")] = "here"
    _: KW_ONLY
    out: Annotated[str | os.PathLike[str], Option("Where to.", short="-o")]
    soft: Annotated[str | os.PathLike[str] | None, Option("Labels.", key="teacher.labels")] = None
    words: Annotated[Sequence[str], Option("Several.", flag="--word")] = ()
    rates: Annotated[Sequence[int] | None, Option("Numbers.", flag="--rate")] = None
    new: Annotated[bool, Option("New.", key="init.new_head")] = False
    keep: Annotated[bool, Option("Keep.")] = True
    seed: Annotated[int | None, Option("Seed.", key="seed")] = None
    hop_s: Annotated[float | None, Option("Step.", flag="--hop", shown="as long")] = None
    listener: Annotated[object, Option("Hears.", python_only=True)] = None
    plain: int = 3


@takes(Asked)
def ask(request: Asked) -> Asked:
    """Ask.

    Raises:
        ValueError: never.
    """
    return request


def typed(*words):
    seen = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @grouped
    def command(request: Asked) -> None:
        seen.append(request)

    with pytest.raises(SystemExit) as caught:
        app(list(words), prog_name="x")
    return seen[0] if caught.value.code == 0 and seen else caught.value.code


def test_fields_come_in_the_order_of_a_command_line():
    found = request_fields(Asked)
    assert [f.name for f in found[:3]] == ["place", "out", "top"]
    assert "plain" not in {f.name for f in found}
    assert (found[1].required, found[1].default, found[2].default) == (True, MISSING, 5)


def test_a_function_takes_a_request_or_its_fields():
    assert ask("there", out="x", top=2) == ask(Asked(place="there", out="x", top=2)) == Asked("there", out="x", top=2)
    with pytest.raises(TypeError, match="'out'"):
        ask("there")
    with pytest.raises(TypeError, match="'tip'"):
        ask("there", out="x", tip=2)


def test_the_function_documents_its_fields():
    lines = ask.__doc__.splitlines()
    assert lines[:5] == ["Ask.", "", "Args:", "    place: Where.", "    out: Where to."]
    assert lines[-2:] == ["Raises:", "    ValueError: never."]
    assert inspect.signature(ask).return_annotation == "Asked"
    assert inspect.signature(ask).parameters["top"].annotation is int


def test_the_command_line_has_defaults_and_types():
    assert typed("--out", "x") == Asked(out=Path("x"), place=Path("here"))
    words = ("there", "-o", "x", "--top", "2", "--soft", "s/", "--word", "a", "--word", "b", "--rate", "3", "--new")
    assert typed(*words, "--no-keep", "--hop", "0.5") == Asked(
        Path("there"),
        top=2,
        out=Path("x"),
        soft=Path("s"),
        words=["a", "b"],
        rates=[3],
        new=True,
        keep=False,
        hop_s=0.5,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "--out"), (("-o", "x", "--top", "0"), "--top"), (("-o", "x", "--listener", "y"), "listener")],
)
def test_what_the_command_line_refuses(words, said, capsys):
    assert typed(*words) == 2
    assert said in capsys.readouterr().err


def test_help_says_what_a_default_means(capsys):
    typed("--help")
    text = capsys.readouterr().out
    assert "[default: (as long)]" in text
    assert "listener" not in text


def test_only_what_is_given_changes_the_recipe():
    assert recipe_settings(Asked(out="x")) == {}
    assert recipe_settings(Asked(out="x", seed=0)) == {"seed": 0}
    assert recipe_settings(Asked(out="x", soft="a/b/", new=True)) == {"teacher.labels": "a/b", "init.new_head": True}
