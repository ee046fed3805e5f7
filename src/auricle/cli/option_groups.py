# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, written once as a dataclass: a command takes them as one value.

@dataclass(frozen=True)
class Common:
    quiet: Quiet = False

@grouped
def tag(inputs: Inputs, *, top: Top = 5, common: Common) -> None: ...     # auricle tag INPUT --top 3 --quiet
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its dataclass parameters as options, in the places of those parameters."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind):
            groups[parameter.name] = kind
            types = get_type_hints(kind, include_extras=True)
            parameters += (_parameter(item, types[item.name]) for item in fields(kind))
        else:
            parameters.append(parameter.replace(annotation=kind))

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        for name, kind in groups.items():
            options[name] = kind(**{item.name: options.pop(item.name) for item in fields(kind)})
        command(*args, **options)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return run


def _parameter(item: Field[Any], annotation: Any) -> inspect.Parameter:
    """Return a keyword-only parameter for a field."""
    default = inspect.Parameter.empty if item.default is MISSING else item.default
    return inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
