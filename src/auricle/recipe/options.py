# SPDX-License-Identifier: Apache-2.0
"""Fields that say what they are for: command line, Python functions and documentation are all made of them.

    @dataclass(frozen=True, kw_only=True)
    class TagRequest:
        top: Annotated[int, Option("Labels to show for each recording.", metavar="N", least=1)] = 5

gives ``auricle tag --top N``, ``auricle.tag(top=5)``, and a line in the documentation of both.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ParamSpec, Protocol, TypeVar, get_args, get_origin, get_type_hints, overload

from auricle.errors import UsageError
from auricle.files import address_note


@dataclass(frozen=True)
class Option:
    """How a field is written and what it does.

    Attributes:
        help: one sentence for people.
        flag: on the command line; made of the field's name if None.
        short: one letter for it, such as ``-o``.
        metavar: what stands for its value in help.
        least: smallest value allowed.
        hertz: a sample rate: a whole number of Hz, however it is written.
        key: key of the recipe that it sets, such as ``optim.epochs``; the recipe keeps it.
        shown: what help calls the default, where its value says little.
        python_only: no option of the command line.
    """

    help: str
    flag: str | None = None
    short: str | None = None
    metavar: str | None = None
    least: float | None = None
    hertz: bool = False
    key: str | None = None
    shown: str | None = None
    python_only: bool = False


@dataclass(frozen=True)
class Argument:
    """A field that has a place instead of a name: what it does, and what stands for it in help."""

    help: str
    metavar: str


@dataclass(frozen=True)
class RequestField:
    """A field of a request: its name, type and default (``MISSING`` if it must be given), and how it is written."""

    name: str
    type: Any
    default: Any
    option: Option | Argument

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING


def field_types(kind: type) -> dict[str, Any]:
    """Return the types of a class's fields, with what they are annotated with.

    As ``typing.get_type_hints``, which reads the annotations of base classes again for every class that has them: all
    requests together, that was a third of the time of ``--help``.
    """
    return {name: hint for base in reversed(kind.__mro__) for name, hint in _own_types(base).items()}


@functools.cache
def _own_types(kind: type) -> dict[str, Any]:
    own = types.SimpleNamespace(__annotations__=vars(kind).get("__annotations__", {}))
    return get_type_hints(own, vars(sys.modules[kind.__module__]), include_extras=True)


def request_fields(kind: type) -> list[RequestField]:
    """Return the fields of a request class: first those with a place, then those that must be given."""
    hints = field_types(kind)
    found: list[RequestField] = []
    for item in fields(kind):
        base, *marks = get_args(hints[item.name]) if get_origin(hints[item.name]) is Annotated else (None,)
        found += [RequestField(item.name, base, item.default, m) for m in marks if isinstance(m, Option | Argument)]
    return sorted(found, key=lambda field: (not isinstance(field.option, Argument), not field.required))


def recipe_settings(request: Any) -> dict[str, Any]:
    """Return what the options of a request say about its recipe, by key; what was not given is not in it."""
    settings = {}
    for field in request_fields(type(request)):
        value = getattr(request, field.name)
        given = value is not None and value is not False  # a 0 is given
        if given and isinstance(field.option, Option) and field.option.key is not None:
            is_path = os.PathLike[str] in get_args(field.type)
            settings[field.option.key] = str(Path(value)) if is_path else value
    return settings


#: Types of fields that hold several values.
_SEVERAL = (Iterable, Sequence)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Q_contra = TypeVar("Q_contra", contravariant=True)


class Asked(Protocol[P, Q_contra, R_co]):
    """A function that takes a request, or the fields of one."""

    @overload
    def __call__(self, request: Q_contra, /) -> R_co: ...

    @overload
    def __call__(self, *args: P.args, **values: P.kwargs) -> R_co: ...


def takes(kind: Callable[P, Q_contra]) -> Callable[[Callable[[Q_contra], R_co]], Asked[P, Q_contra, R_co]]:
    """Let a function of a request be called with the fields of the request, which also stand in its documentation."""

    def wrap(function: Callable[[Q_contra], R_co]) -> Asked[P, Q_contra, R_co]:
        @functools.wraps(function)
        def run(*args: Any, **values: Any) -> Any:
            ready = len(args) == 1 and isinstance(args[0], kind)  # type: ignore[arg-type]
            request = args[0] if ready and not values else kind(*args, **values)
            check_paths(request)
            return function(request)

        run.__signature__ = _signature(kind, function.__annotations__["return"])  # type: ignore[attr-defined]
        run.__doc__ = _documented(function.__doc__, kind)
        return run

    return wrap


def check_paths(request: Any) -> None:
    """Raise ``UsageError`` where a path of a request is none, or an address: files are read from this machine."""
    for field in request_fields(type(request)):
        value = getattr(request, field.name)
        if value is None or not _holds_path(field.type):
            continue
        several = any(get_origin(kind) in _SEVERAL for kind in (field.type, *get_args(field.type)))
        for item in value if several and isinstance(value, list | tuple) else (value,):
            if not isinstance(item, str | os.PathLike):
                what = "paths" if several else "one path"
                raise UsageError(f"{field.name}: got {type(value).__name__}; expected {what}, such as 'clips/'")
            if not several and (address := address_note(os.fspath(item))) is not None:  # of many, others can be read
                raise UsageError(f"{field.name}: {address}")


def _holds_path(kind: Any) -> bool:
    """Tell whether a path is among what a type is made of."""
    return bool(kind == os.PathLike[str]) or any(map(_holds_path, get_args(kind)))


def _signature(kind: Any, result: Any) -> inspect.Signature:
    """Return the signature of the class's constructor, with plain types."""
    types = {field.name: field.type for field in request_fields(kind)}
    parameters = [
        p.replace(annotation=types.get(p.name, p.annotation)) for p in inspect.signature(kind).parameters.values()
    ]
    return inspect.Signature(parameters, return_annotation=result)


def _documented(text: str | None, kind: Any) -> str:
    """Return a docstring with the fields of a request as its section Args."""
    lines = inspect.cleandoc("" if text is None else text).split("\n")
    place = next((i for i, line in enumerate(lines) if line in ("Returns:", "Raises:")), None)
    args = ["Args:", *(f"    {field.name}: {field.option.help}" for field in request_fields(kind)), ""]
    return "\n".join([*lines, "", *args] if place is None else [*lines[:place], *args, *lines[place:]]).strip()
