# SPDX-License-Identifier: Apache-2.0
"""The command ``auricle``: puts the command groups together.

Nothing heavy is imported here or at the top of a command's file, and help is printed without
parsing the other options, so that ``--help`` answers at once (typer reads options with pydantic).
"""

from __future__ import annotations

import copy
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.core
import typer.main

from auricle import __version__
from auricle.cli import (
    bench,
    compress,
    crossval,
    data,
    demo,
    detect,
    doctor,
    embed,
    enrol,
    evaluate,
    export,
    listen,
    models,
    push,
    report,
    search,
    serve,
    studio,
    sweep,
    tag,
    teach,
    train,
)
from auricle.cli.guard import forget_stdout, guarded, say, terminate_cleanly
from auricle.errors import ConfigError

HELP_NAMES = ("--help", "-h")
#: By which a shell that completes says so.
COMPLETE_VARIABLE = "_AURICLE_COMPLETE"

app = typer.Typer(
    name="auricle",
    help="Train small sound detectors, distilled from large models, and run them anywhere.",
    epilog="auricle COMMAND --help explains a command. Exit codes: 0 done, 1 some inputs failed, 2 wrong use.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP_NAMES), "max_content_width": 100},
)

app.command(short_help="Say what is in recordings.")(tag.tag)
app.command(short_help="Say when sounds happen in recordings.")(detect.detect)
app.command(short_help="Give one vector for each recording, or for each window.")(embed.embed)
app.command(short_help="Find what is like an example in an archive.")(search.search)
app.command(short_help="Make a detector of a few clips in seconds.")(enrol.enrol)
app.command(short_help="Train a detector on labelled recordings.")(train.train)
app.command(short_help="Let a large model label audio for a small one to learn from.")(teach.teach)
app.command(short_help="Cut a small model out of a large one.")(compress.compress)
app.command(short_help="Measure a recipe over all folds of a data set.")(crossval.crossval)
app.command(short_help="Search over the choices of a recipe.")(sweep.sweep)
app.command(short_help="Score a model on labelled recordings.")(evaluate.evaluate)
app.command(short_help="Make a model smaller, or a site out of it.")(export.export)
app.command(short_help="Push a model to the Hugging Face hub.")(push.push)
app.command(short_help="Write a page about a model.")(report.report)
app.command(short_help="Say what sounds there are, live.")(listen.listen)
app.command(short_help="Serve models over HTTP, with live streams and a page.")(serve.serve)
app.command(short_help="Label a folder, and teach a detector by it.")(studio.studio)
app.add_typer(models.app, name="models", short_help="List the built-in models, or show one.")
app.add_typer(data.app, name="data", short_help="Check, import, fetch or synthesise a data set.")
app.add_typer(bench.app, name="bench", short_help="Measure speed on this machine.")
app.command(short_help="Check this machine, or a model.")(doctor.doctor)
app.command(short_help="Train and use a detector in minutes, to see the whole way.")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"auricle {__version__}")
        raise typer.Exit


@app.callback()
def auricle(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Train small sound detectors, distilled from large models, and run them anywhere."""


@app.command(short_help="Print what completes commands in a shell.")
@guarded
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Which shell.", metavar="SHELL")],
) -> None:
    """Print a script by which a shell completes commands and options.

    Example:
      auricle completion bash > ~/.local/share/bash-completion/completions/auricle
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(get_completion_script(prog_name="auricle", complete_var=COMPLETE_VARIABLE, shell=shell))


def _part_of_app(words: Sequence[str]) -> typer.Typer:
    """Return the command line with the command alone that the words name: making all takes as long as the rest."""
    known = {name_of(info): info for info in (*app.registered_commands, *app.registered_groups)}
    info = next((known[word] for word in words if word in known), None)
    if info is None:
        return app
    part = copy.copy(app)
    part.registered_commands = [item for item in app.registered_commands if item is info]
    part.registered_groups = [item for item in app.registered_groups if item is info]
    return part


def name_of(info: Any) -> str:
    """Return the name of a command or of a group of them."""
    return str(info.name or typer.main.get_command_name(info.callback.__name__))


def help_of(words: Sequence[str]) -> str:
    """Return the help text of the command that ``words`` lead to, such as ``["data", "check"]``.

    Words that are no command (inputs, options) are passed over.
    """
    command = typer.main.get_command(_part_of_app(words))
    context = typer.Context(command, info_name="auricle", **command.context_settings)
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is not None:
            command = inner
            context = typer.Context(command, info_name=word, parent=context, **command.context_settings)
    return command.get_help(context)


def main(arguments: Sequence[str]) -> None:
    """Run one command line; always ends with ``SystemExit``."""
    words = list(arguments)
    options = words[: words.index("--")] if "--" in words else words
    if any(name in options for name in HELP_NAMES):
        print(help_of(words))
        raise SystemExit(0)
    if words == ["--version"]:
        print(f"auricle {__version__}")
        raise SystemExit(0)
    if COMPLETE_VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    app(args=words, prog_name="auricle", default_map=_defaults(words))


def _defaults(words: Sequence[str]) -> dict[str, Any]:
    """Return the defaults of ``auricle.toml``, and say once where they come from."""
    from auricle.cli.defaults import find_file, read_defaults

    try:
        path = find_file(Path.cwd())
        if path is None:
            return {}
        defaults = read_defaults(typer.main.get_command(app))
    except ConfigError as error:
        say(f"auricle: {error}")
        raise SystemExit(2) from None
    used = defaults
    for word in words:
        if isinstance(below := used.get(word), dict):
            used = below
    named = [name for name, value in used.items() if not isinstance(value, dict)]
    if named and not {"-q", "--quiet"} & set(words) and used.get("quiet") is not True:
        say(f"auricle: defaults of {path}: {', '.join(named)}")
    return defaults


def run() -> None:
    """Run the command line of this process; the console entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be UTF-8; in a JSON string the backslash form is the right escape.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if not sys.warnoptions and "--debug" not in sys.argv:
        warnings.simplefilter("ignore")
    terminate_cleanly()
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
        raise SystemExit(1) from None
