# SPDX-License-Identifier: Apache-2.0
"""What a sweep searches: a recipe with a section ``sweep`` that gives some of its keys more than one value.

    optim: {epochs: 30}
    sweep:
      trials: 40
      search:
        optim.lr: {low: 0.0003, high: 0.005, log: true}      # a range; whole numbers where the key takes them
        model.head: [attention, linear_softmax]              # or a list of any values

The rest of the file is the recipe that all trials share.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from auricle.errors import ConfigError
from auricle.recipe.requests import PathLike
from auricle.recipe.schema import Recipe, make_recipe, with_values
from auricle.registry import nearest

#: These decide which clips are dev, or how long a trial may continue: figures of trials could not be compared.
FIXED = (
    *("task", "seed", "run", "data.negatives", "data.exclude_systems"),
    *("data.dev", "data.dev_fraction", "data.dev_systems"),
)


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, evenly or by their logarithm."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    low: float
    high: float
    log: bool = False


Choices = Annotated[list[Any], Field(min_length=1)]
#: What a key may be given: told apart by form, so that a mistake is reported once.
Values = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "range"),
]


class SweepSection(BaseModel):
    """The section ``sweep``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    trials: int = Field(30, ge=1, le=100_000)
    pruner: Literal["median", "none"] = "median"
    startup_trials: int = Field(5, ge=0)
    warmup_epochs: int = Field(5, ge=0)
    search: dict[str, Values] = Field(min_length=1)


@dataclass(frozen=True)
class Axis:
    """One key that is searched.

    Attributes:
        key: of the recipe, such as ``optim.lr``.
        kind: ``float`` or ``int`` for a range, ``choice`` for a list.
        low: end of a range.
        high: other end.
        log: whether the range is walked by its logarithm.
        choices: the values of a list, each as JSON text.
    """

    key: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def ends(self) -> list[Any]:
        """Return the values that show whether all of them are possible."""
        if self.kind == "choice":
            return [json.loads(choice) for choice in self.choices]
        return [int(self.low), int(self.high)] if self.kind == "int" else [self.low, self.high]


@dataclass(frozen=True)
class Sweep:
    """A search.

    Attributes:
        recipe: what all trials share.
        section: how many trials, and when one is given up.
        axes: what is searched, in the file's order.
    """

    recipe: Recipe
    section: SweepSection
    axes: tuple[Axis, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what must be the same when a sweep continues; the number of trials may grow."""
        section = self.section.model_dump(mode="json")
        del section["trials"]
        return {"recipe": self.recipe.model_dump(mode="json"), "sweep": section}


def read_sweep(
    path: PathLike,
    overrides: Iterable[str] = (),
    *,
    trials: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Sweep:
    """Read a recipe with a section ``sweep``.

    Args:
        path: YAML file.
        overrides: ``a.b=c`` over the shared recipe.
        trials: over the file's own number.
        settings: values by key, over the shared recipe and ``overrides``.

    Raises:
        ConfigError: with every problem: unknown keys, values that no recipe takes, ranges upside down.
    """
    from auricle.training.request_recipe import request_values  # noqa: PLC0415 (the extra `train`)

    values = request_values("crnn", path, overrides, settings)
    raw = values.pop("sweep", None)
    recipe = make_recipe(values, f"the recipe {path}")
    if raw is None:
        raise ConfigError(
            f"{path} has no section sweep, so there is nothing to search",
            ["add one, such as  sweep: {search: {optim.lr: {low: 0.0003, high: 0.005, log: true}}}"],
        )
    if isinstance(raw, Mapping) and trials is not None:
        raw = {**raw, "trials": trials}
    try:
        section = SweepSection.model_validate(raw)
    except ValidationError as error:
        lines = [f"sweep.{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigError(f"the section sweep of {path} cannot be used", lines) from error
    problems: list[str] = []
    axes = tuple(axis for key, spec in section.search.items() for axis in _axes(key, spec, recipe, problems))
    if problems:
        raise ConfigError(f"the section sweep of {path} cannot be used", problems)
    return Sweep(recipe, section, axes)


def _axes(key: str, spec: Range | list[Any], recipe: Recipe, problems: list[str]) -> Iterator[Axis]:
    """Yield the axis of a key, or add to ``problems`` why there is none."""
    known = _keys(recipe)
    if key not in known:
        problems.append(f"unknown key {key}{nearest(key, known)}")
        return
    if key in FIXED or key.split(".", maxsplit=1)[0] in FIXED:
        problems.append(f"{key} cannot be searched: trials are compared on the same dev clips, at the same precision")
        return
    if isinstance(spec, Range):
        kind = _number_kind(known[key])
        if kind is None:
            problems.append(f"{key} is no number: give a list of values")
            return
        if not spec.low < spec.high or (spec.log and spec.low <= 0):
            least = "0 < low < high" if spec.log else "low < high"
            problems.append(f"{key}: low {spec.low:g}, high {spec.high:g}; needed is {least}")
            return
        if kind == "int" and not (spec.low.is_integer() and spec.high.is_integer()):
            problems.append(f"{key}: low {spec.low:g}, high {spec.high:g}; this key takes whole numbers")
            return
        axis = Axis(key, kind, spec.low, spec.high, spec.log)
    else:
        axis = Axis(key, "choice", choices=tuple(json.dumps(value) for value in spec))
    for value in axis.ends():
        try:
            with_values(recipe, {key: value})
        except ConfigError as error:
            problems.extend(error.problems)
            return
    yield axis


def _keys(section: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return the annotation of every key of a recipe, with the options of its network."""
    keys: dict[str, Any] = {}
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            keys |= _keys(value, f"{prefix}{name}.")
        else:
            keys[f"{prefix}{name}"] = info.annotation
    return keys


def _number_kind(annotation: Any) -> Literal["float", "int"] | None:
    """Return what numbers a key takes; whole ones where it takes nothing else."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    kinds = tuple(typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind for kind in kinds)
    if float in kinds:
        return "float"
    return "int" if int in kinds else None
