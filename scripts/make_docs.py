# SPDX-License-Identifier: Apache-2.0
"""Write the generated pages of docs/: commands, Python functions, recipe keys, codes.

``--check`` only says whether they are fresh.

The pages come from the code they describe (the commands, ``config.Recipe``, ``errors``), so they cannot disagree
with it; a test runs the check.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
import typer.core
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from auricle import api
from auricle.cli.main import make_app
from auricle.errors import FAILURE_CODES, FLAG_CODES, REQUEST_CODES
from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.recipe.schema import AugmentSection, Recipe

#: Functions of the API whose arguments are the fields of a request.
REQUESTS = (
    *("train", "crossval", "sweep", "teach", "enrol", "compress", "bench_train"),
    *("evaluate", "false_alarms", "tune", "export_int8", "export_site", "report", "scan", "embed", "search"),
    *("deployment", "import_model", "open_studio", "push"),
)
DOCS = Path(__file__).parents[1] / "docs"
MARK = "<!-- Written by scripts/make_docs.py (make docs): change the code, not this page. -->\n\n"


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command that does something, with the words that lead to it."""
    inner = getattr(command, "commands", None)
    if inner is None or (command.invoke_without_command and len(words) > 1):
        yield words, command
    for name, sub in (inner or {}).items():
        yield from walk(sub, (*words, name))


def parameter_row(parameter: Any, context: typer.Context) -> tuple[str, str]:
    """Return one row for an argument or an option: how it is written, and what it does (with its default)."""
    if isinstance(parameter, typer.core.TyperArgument):
        return f"`{parameter.metavar}`", str(parameter.help)
    left, right = parameter.get_help_record(context)
    return f"`{left}`", right


def command_section(words: tuple[str, ...], command: Any) -> str:
    """Return the section of one command: what it does, an example, its parameters."""
    context = typer.Context(command, info_name=" ".join(words))
    text, _, example = inspect.cleandoc(command.help or "").replace("\b\n", "").partition("Example:\n")
    rows = [parameter_row(p, context) for p in command.get_params(context) if p.name != "help"]
    parts = [f"## {' '.join(words)}\n", text.strip() + "\n"]
    if example:
        parts.append(f"```sh\n{inspect.cleandoc(example)}\n```\n")
    if rows:
        parts.append(table(("option", "meaning"), rows))
    return "\n".join(parts)


def cli_page() -> str:
    """Return docs/cli.md."""
    head = (
        "# Commands\n\nEvery command also takes `--help`. Inputs are files, folders (searched through), globs, or `-` "
        "for stdin.\nErrors are one line on stderr; `--debug` adds the traceback.\n\n"
        "Exit codes: 0 all inputs done, with flags or without · 1 some or all inputs failed, the rest is done · "
        "2 wrong use or configuration · 130 interrupted · 143 terminated.\n\n"
    )
    sections = [
        command_section(words, command) for words, command in walk(typer.main.get_command(make_app()), ("auricle",))
    ]
    return MARK + head + "\n".join(sections)


def function_section(name: str, function: Any) -> str:
    """Return the section of one function of ``auricle``: what it does, how it is called, its arguments."""
    summary, _, rest = inspect.cleandoc(function.__doc__).partition("\nArgs:\n")
    lines = [line.strip() for line in rest.partition("\n\n")[0].splitlines()]
    told = dict(line.split(": ", 1) for line in lines if ": " in line)
    rows = []
    for parameter in inspect.signature(function).parameters.values():
        default = "" if parameter.default is inspect.Parameter.empty else f"`{parameter.default!r}`"
        if parameter.name in told:
            place = parameter.name if parameter.kind is inspect.Parameter.KEYWORD_ONLY else f"{parameter.name} (first)"
            rows.append((f"`{place}`", default, told[parameter.name]))
    rows.sort(key=lambda row: row[1] != "")
    return f"## auricle.{name}\n\n{summary.strip()}\n\n{table(('argument', 'default', 'meaning'), rows)}"


def python_page() -> str:
    """Return docs/python.md."""
    head = (
        "# Python\n\nWhat the commands do, as functions: `import auricle`. Equal input gives equal results. Arguments "
        "without a default must be given.\n\n"
    )
    return MARK + head + "\n".join(function_section(name, getattr(api, name)) for name in REQUESTS)


def spell_range(info: FieldInfo) -> str:
    """Return the allowed values of a recipe key in words."""
    limits = {"Ge": "at least {}", "Gt": "above {}", "Le": "at most {}", "Lt": "below {}"}
    found = []
    for item in info.metadata:
        pattern = limits.get(type(item).__name__)
        if pattern is not None:
            found.append(pattern.format(f"{getattr(item, type(item).__name__.lower()):g}"))
    if get_origin(info.annotation) is Literal:
        return " · ".join(f"`{value}`" for value in get_args(info.annotation))
    if info.annotation is bool:
        return "`true` · `false`"
    return ", ".join(found)


def recipe_rows(defaults: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each key: name, default, range, effect; those of networks stand apart."""
    for name, info in type(defaults).model_fields.items():
        value = getattr(defaults, name)
        if isinstance(value, NetworkOptions):
            continue
        if isinstance(value, BaseModel):
            yield from recipe_rows(value, f"{prefix}{name}.")
            continue
        shown = json.dumps(value).strip('"')
        yield f"`{prefix}{name}`", f"`{shown}`", spell_range(info), info.description or ""


def hyperparameters_page() -> str:
    """Return docs/hyperparameters.md."""
    head = (
        "# Hyperparameters\n\nEvery choice of a training run, with its default. Put them in a YAML file "
        "(`--recipe FILE`, see `recipes/`) or change one with\n`--set key=value`. The whole recipe of a run is "
        "stored in its model folder as `run/recipe.yaml`. Unknown keys and impossible "
        "values\nare reported all at once.\n\n"
    )
    networks = (
        "\n## The section `model`\n\nIt belongs to the network that `model.name` names, or `--model`. A key that the "
        "network does not use is an error.\nA network of your own: [how-to](howto/own-network.md).\n\n"
    )
    parts = [head, recipe_table(Recipe()), networks, *map(network_section, own_networks())]
    return MARK + "".join(parts)


def recipe_table(section: BaseModel, prefix: str = "") -> str:
    """Return the table of a section's keys."""
    return table(("key", "default", "range", "effect"), list(recipe_rows(section, prefix)))


def own_networks() -> list[str]:
    """Return the networks of auricle itself, whatever other packages are installed here."""
    return [name for name in NETWORKS if NETWORKS.get(name).__module__.startswith("auricle.")]


def network_section(name: str) -> str:
    """Return the options of one network, and what it changes in the rest of a recipe."""
    options = NETWORKS.get(name)
    others = [
        f"`{section}.{key}={json.dumps(value)}`"
        for section, values in options.defaults.items()
        for key, value in values.items()
    ]
    unused = [f"`augment.{key}`" for key in AugmentSection.model_fields if key not in options.augmentations]
    lines = [inspect.cleandoc(options.__doc__ or "")]
    lines += [f"Other defaults: {', '.join(others)}."] if others else []
    lines += [f"Not used: {', '.join(unused)}."] if unused else []
    return f"### {name}\n\n" + "\n\n".join(lines) + "\n\n" + recipe_table(options(name=name), "model.") + "\n"


def codes_page() -> str:
    """Return docs/codes.md."""
    head = (
        "# Codes of flags and failures\n\nA closed set, the same in JSON, CSV, tables and summaries.\n\n"
        "## Flags\n\nThe input was used, and this stands beside its result.\n\n"
    )
    flags = table(("code", "meaning"), [(f"`{code}`", text) for code, text in FLAG_CODES.items()])
    failures = table(("code", "meaning"), [(f"`{code}`", text) for code, text in FAILURE_CODES.items()])
    requests = table(("code", "meaning"), [(f"`{code}`", text) for code, text in REQUEST_CODES.items()])
    parts = [
        *(head, flags, "\n## Failures\n\nThe input was not used; the others continue.\n\n", failures),
        *("\n## Refusals\n\nOf requests to `auricle serve`, beside the failures.\n\n", requests),
    ]
    return MARK + "".join(parts)


PAGES = {
    "cli.md": cli_page,
    "python.md": python_page,
    "hyperparameters.md": hyperparameters_page,
    "codes.md": codes_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` name those that are stale; returns the exit code."""
    stale = []
    for name, make in PAGES.items():
        page, text = DOCS / name, make()
        if arguments == ["--check"]:
            if not page.exists() or page.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            page.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `make docs`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
