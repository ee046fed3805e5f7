# SPDX-License-Identifier: Apache-2.0
"""Names to things. Registering a name twice is an error; an unknown name says what is near.

A thing is registered in the program, by a module of a package (one file each, imported when it is asked for), or by
an installed package through an entry point (https://packaging.python.org/specifications/entry-points/).
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from auricle.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest of ``names``, or an empty string."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def shorten(names: Iterable[str], shown: int = 3) -> str:
    """Join a few names, and count the rest.

    >>> shorten(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    names = list(names)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


class Registry(Generic[T]):
    """A table from names to objects of one kind.

    >>> shapes: Registry[int] = Registry("shape")
    >>> shapes.add("square", 4)
    >>> shapes.get("square")
    4

    Args:
        kind: what the objects are, for messages.
        package: of modules that each register the object of their own name.
        group: of entry points, by which installed packages add theirs.
        accepts: returns what is wrong with an object out of an entry point, or an empty string.
    """

    def __init__(
        self,
        kind: str,
        *,
        package: str | None = None,
        group: str | None = None,
        accepts: Callable[[str, object], str] = lambda _name, _item: "",
    ) -> None:
        self.kind = kind
        self._package, self._group, self._accepts = package, group, accepts
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> None:
        """Register ``item`` under ``name``; raises ``ValueError`` if the name is taken."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._items[name] = item

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers what it decorates."""

        def decorate(item: T) -> T:
            self.add(name, item)
            return item

        return decorate

    def get(self, name: str) -> T:
        """Return the object called ``name``.

        Raises:
            UsageError: there is none, with the nearest name; or an installed package gives one that cannot be used.
        """
        if name not in self._items:
            self._load(name)
        if name not in self._items:
            names = self.names()
            raise UsageError(f"unknown {self.kind} {name!r}{nearest(name, names)}; known: {', '.join(names)}")
        return self._items[name]

    def names(self) -> list[str]:
        """Return all names, sorted; imports none of the things."""
        return sorted({*self._items, *self._modules(), *(point.name for point in self._entry_points())})

    def _modules(self) -> list[str]:
        """Return the names of the package's modules that are things."""
        if self._package is None:
            return []
        found = pkgutil.iter_modules(importlib.import_module(self._package).__path__)
        return [module.name for module in found if not module.name.startswith("_")]

    def _entry_points(self) -> tuple[EntryPoint, ...]:
        if self._group is None:
            return ()
        from importlib.metadata import entry_points  # noqa: PLC0415 (a tenth of what `--help` costs)

        return tuple(entry_points(group=self._group))

    def _load(self, name: str) -> None:
        """Register the thing of a module or an installed package, if there is one of that name."""
        own = name in self._modules()
        points = [point for point in self._entry_points() if point.name == name]
        if len(points) + own > 1:
            places = [*(["auricle"] if own else []), *map(_origin, points)]
            raise UsageError(
                f"{self.kind} {name!r} is given by {' and by '.join(places)}: uninstall one of these packages"
            )
        if own:
            importlib.import_module(f"{self._package}.{name}")
        for point in points:
            self.add(name, self._open(point))

    def _open(self, point: EntryPoint) -> T:
        """Import what an installed package offers; whatever fails there is an error of that package."""
        try:
            item = point.load()
        except Exception as error:  # noqa: BLE001 (other people's code: anything can happen)
            reason = f"{type(error).__name__}: {error}"
        else:
            reason = self._accepts(point.name, item)
        if reason:
            raise UsageError(
                f"{self.kind} {point.name!r} of {_origin(point)} cannot be used: {point.value}: "
                f"{' '.join(reason.split())}; mend that package, or uninstall it"
            )
        return item  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()


def _origin(point: EntryPoint) -> str:
    """Return the package that an entry point comes from."""
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
