# SPDX-License-Identifier: Apache-2.0
"""Options made of dataclasses: a command takes a request, or options that several commands share, as one value.

@dataclass(frozen=True)
class Common:
    quiet: Quiet = False

@grouped
def train(request: TrainRequest, *, common: Common) -> None: ...     # auricle train DATA --out DIR --quiet
"""

from __future__ import annotations

import functools
import inspect
import os
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from auricle.cli.options import hertz
from auricle.recipe.options import Argument, Option, RequestField, field_types, request_fields


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its dataclass parameters as options, in the places of those parameters."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind):
            groups[parameter.name] = kind
            parameters += _parameters(kind)
        else:
            parameters.append(parameter.replace(annotation=kind))

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        for name, kind in groups.items():
            options[name] = _build(kind, options)
        command(*args, **options)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return run


def _parameters(kind: Any) -> list[inspect.Parameter]:
    """Return a keyword-only parameter for each field of a dataclass, arguments and what must be given first."""
    requested, hints = request_fields(kind), field_types(kind)
    asked = [_option(field) for field in requested if not _hidden(field)]
    known = {field.name for field in requested}
    return asked + [_parameter(item, hints[item.name]) for item in fields(kind) if item.name not in known]


def _hidden(field: RequestField) -> bool:
    return isinstance(field.option, Option) and field.option.python_only


def _build(kind: Any, options: dict[str, Any]) -> Any:
    """Return a dataclass of its options, which are taken out; a list that was not given keeps the field's default."""
    values = {item.name: options.pop(item.name) for item in fields(kind) if item.name in options}
    lists = {item.name for item in fields(kind) if item.default == ()}
    return kind(**{name: value for name, value in values.items() if value is not None or name not in lists})


def _parameter(item: Field[Any], annotation: Any) -> inspect.Parameter:
    """Return a parameter for a field that is annotated for typer."""
    default = inspect.Parameter.empty if item.default is MISSING else item.default
    return inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(field: RequestField) -> inspect.Parameter:
    """Return a parameter for a field of a request."""
    default = inspect.Parameter.empty if field.required else field.default
    default = None if isinstance(default, Collection) and not isinstance(default, str) else default
    annotation = Annotated.__class_getitem__((_typed(field.type), _written(field)))  # type: ignore[attr-defined]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _written(field: RequestField) -> Any:
    """Return what typer needs to know of a field."""
    option = field.option
    if isinstance(option, Argument):
        return typer.Argument(metavar=option.metavar, help=option.help)
    flag = f"--{field.name.replace('_', '-')}" if option.flag is None else option.flag
    if field.default is True:
        flag += f"/--no-{flag.removeprefix('--')}"
    names = [flag] if option.short is None else [flag, option.short]
    shown = True if option.shown is None else option.shown
    limits: dict[str, Any] = {"min": option.least}
    if option.hertz:
        limits = {"parser": hertz(1 if option.least is None else int(option.least))}
    return typer.Option(*names, metavar=option.metavar, help=option.help, show_default=shown, **limits)


def _typed(kind: Any) -> Any:
    """Return the type by which typer reads a value: a path where names of files are taken, a list for several."""
    members = set(get_args(kind)) if get_origin(kind) in (Union, types.UnionType) else {kind}
    optional = type(None) in members
    members -= {type(None)}
    if os.PathLike[str] in members:
        members = {Path}
    if members == {int, str}:  # numbers and words: read by what takes them
        members = {str}
    (member,) = members
    if get_origin(member) in (Iterable, Sequence):
        several: Any = types.GenericAlias(list, (_typed(get_args(member)[0]),))
        return several | None
    return member | None if optional else member
