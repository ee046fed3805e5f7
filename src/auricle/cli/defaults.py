# SPDX-License-Identifier: Apache-2.0
"""Defaults of a folder: ``auricle.toml`` beside the work says what would be typed every time.

    [all]
    quiet = true            # for every command that has the option

    [detect]
    model = "models/yard"
    threshold = ["dog=0.6", "cat=0.4"]
    time-zone = "Europe/Berlin"

    [data.deployment]
    time-zone = "Europe/Berlin"

Names are those of the options, without dashes in front. What is typed goes before what stands in the file, and what
stands under a command before ``[all]``. The file is looked for in the working folder and nowhere else, or where
``AURICLE_CONFIG`` says; an empty value means none.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auricle.errors import ConfigError
from auricle.registry import nearest

FILE = "auricle.toml"
VARIABLE = "AURICLE_CONFIG"
ALL = "all"
#: What only makes sense when it is typed.
NOT_HERE = frozenset({"help", "version", "overwrite", "resume", "yes"})


def read_defaults(command: Any, folder: Path | None = None) -> dict[str, Any]:
    """Return the defaults of the file for a command and those below it, as click takes them (``default_map``).

    Raises:
        ConfigError: the file cannot be read, or names a command or an option that there is not; all at once.
    """
    path = find_file(Path.cwd() if folder is None else folder)
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    general = content.pop(ALL, {})
    problems: list[str] = []
    if not isinstance(general, dict):
        problems.append(f"[{ALL}] is no table")
        general = {}
    problems += _unknown_general(general, command)
    defaults = _of_command(content, command, general, (), problems)
    if problems:
        raise ConfigError(f"{path} cannot be used: {'; '.join(problems)}")
    return defaults


def find_file(folder: Path) -> Path | None:
    """Return the file of defaults, None if there is none; raises ``ConfigError`` if the one that is named is not."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        if named and not Path(named).is_file():
            raise ConfigError(f"{VARIABLE} is {named!r}, and there is no such file; empty means none")
        return Path(named) if named else None
    path = folder / FILE
    return path if path.is_file() else None


def options_of(command: Any) -> dict[str, Any]:
    """Return the options of a command by their long names without dashes."""
    found = {}
    for parameter in command.params:
        for flag in (*parameter.opts, *parameter.secondary_opts) if parameter.param_type_name == "option" else ():
            name = flag.removeprefix("--")
            if flag.startswith("--") and name not in NOT_HERE:
                found[name] = parameter
    return found


def _of_command(
    content: Mapping[str, Any], command: Any, general: Mapping[str, Any], words: tuple[str, ...], problems: list[str]
) -> dict[str, Any]:
    """Return the defaults of one command, by the names of its parameters, and those of the commands below it."""
    inner, known = getattr(command, "commands", {}) or {}, options_of(command) if words else {}
    found = {known[name].name: value for name, value in general.items() if name in known}
    for key, value in content.items():
        if key in known:
            found[known[key].name] = value
        elif key in inner and isinstance(value, dict):
            continue
        else:
            where = f"[{'.'.join(words)}] " if words else ""
            kind = "option" if words and not inner else "command"
            problems.append(f"{where}{kind} {key!r} is unknown{nearest(key, [*known, *inner])}")
    for name, below in inner.items():
        part = content.get(name, {})
        found[name] = _of_command(part if isinstance(part, dict) else {}, below, general, (*words, name), problems)
    return found


def _unknown_general(general: Mapping[str, Any], command: Any) -> Iterator[str]:
    """Yield a problem for each name under ``[all]`` that no command has."""
    known = {name for below in _leaves(command) for name in options_of(below)}
    for name in general:
        if name not in known:
            yield f"[{ALL}] option {name!r} is unknown{nearest(name, known)}"


def _leaves(command: Any) -> Iterator[Any]:
    yield command
    for below in (getattr(command, "commands", {}) or {}).values():
        yield from _leaves(below)
