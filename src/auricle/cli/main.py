# SPDX-License-Identifier: Apache-2.0
"""The command ``auricle``: puts the command groups together.

Nothing heavy is imported here or at the top of a command's file, and help is printed without
parsing the other options, so that ``--help`` answers at once (typer reads options with pydantic).
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.core
import typer.main

from auricle import __version__
from auricle.cli.guard import forget_stdout, guarded, say, terminate_cleanly
from auricle.errors import ConfigError

HELP_NAMES = ("--help", "-h")
#: By which a shell that completes says so.
COMPLETE_VARIABLE = "_AURICLE_COMPLETE"

#: Each command, or group of commands, in the order of the help: its name, its module with what it is called there, and
#: what it is for. A module is imported when its command is used.
COMMANDS = (
    ("tag", "tag:tag", "Say what is in recordings."),
    ("detect", "detect:detect", "Say when sounds happen in recordings."),
    ("embed", "embed:embed", "Give one vector for each recording, or for each window."),
    ("search", "search:search", "Find what is like an example in an archive."),
    ("enrol", "enrol:enrol", "Make a detector of a few clips in seconds."),
    ("train", "train:train", "Train a detector on labelled recordings."),
    ("teach", "teach:teach", "Let a large model label audio for a small one to learn from."),
    ("compress", "compress:compress", "Cut a small model out of a large one."),
    ("crossval", "crossval:crossval", "Measure a recipe over all folds of a data set."),
    ("sweep", "sweep:sweep", "Search over the choices of a recipe."),
    ("evaluate", "evaluate:evaluate", "Score a model on labelled recordings."),
    ("export", "export:export", "Make a model smaller, or a site out of it."),
    ("push", "push:push", "Push a model to the Hugging Face hub."),
    ("report", "report:report", "Write a page about a model."),
    ("listen", "listen:listen", "Say what sounds there are, live."),
    ("serve", "serve:serve", "Serve models over HTTP, with live streams and a page."),
    ("studio", "studio:studio", "Label a folder, and teach a detector by it."),
    ("doctor", "doctor:doctor", "Check this machine, or a model."),
    ("demo", "demo:demo", "Train and use a detector in minutes, to see the whole way."),
    ("completion", "main:completion", "Print what completes commands in a shell."),
    ("models", "models:app", "List the built-in models, or show one."),
    ("data", "data:app", "Check, import, fetch or synthesise a data set."),
    ("bench", "bench:app", "Measure speed on this machine."),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"auricle {__version__}")
        raise typer.Exit


def auricle(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Train small sound detectors, distilled from large models, and run them anywhere."""


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


def make_app(wanted: Collection[str] | None = None) -> typer.Typer:
    """Return the command line with some of its commands, or all; others are not there at all."""
    app = _bare_app()
    for name, home, short_help in COMMANDS:
        if wanted is None or name in wanted:
            module, _, attribute = home.partition(":")
            command = getattr(import_module(f"auricle.cli.{module}"), attribute)
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name, short_help=short_help)
            else:
                app.command(name, short_help=short_help)(command)
    return app


def __getattr__(name: str) -> typer.Typer:
    """Return ``app``, the whole command line, where a program asks for it."""
    if name == "app":
        return make_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _outline() -> typer.Typer:
    """Return the command line with the names of its commands alone, for its own help."""
    app = _bare_app()
    for name, _, short_help in COMMANDS:
        app.command(name, short_help=short_help)(lambda: None)
    return app


def _bare_app() -> typer.Typer:
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
    app.callback()(auricle)
    return app


def _named(words: Sequence[str]) -> set[str]:
    """Return the first of some words that is a command, in a set; none if there is no such word."""
    known = {name for name, _, _ in COMMANDS}
    return set(next(([word] for word in words if word in known), []))


def help_of(words: Sequence[str]) -> str:
    """Return the help text of the command that ``words`` lead to, such as ``["data", "check"]``.

    Words that are no command (inputs, options) are passed over.
    """
    named = _named(words)
    command = typer.main.get_command(make_app(named) if named else _outline())
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
    app = make_app(_named(words[:1]) or None)
    app(args=words, prog_name="auricle", default_map=_defaults(words))


def _defaults(words: Sequence[str]) -> dict[str, Any]:
    """Return the defaults of ``auricle.toml``, and say once where they come from."""
    from auricle.cli.defaults import find_file, read_defaults

    try:
        path = find_file(Path.cwd())
        if path is None:
            return {}
        defaults = read_defaults(typer.main.get_command(make_app()))
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
