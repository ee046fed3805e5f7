# SPDX-License-Identifier: Apache-2.0
"""The folder that a command fills: when it may, and the one way to say why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from auricle.errors import RunError
from auricle.registry import shorten


def _any(name: str) -> bool:
    return True


@dataclass(frozen=True)
class OutputFolder:
    """A folder and what a command keeps in it. Nothing of anybody else's is ever removed.

    Attributes:
        path: the folder; it need not exist.
        holds: what the command keeps there, such as ``a sweep``.
        option: of the command that names it.
        replaceable: whether the command has ``--overwrite`` beside ``--resume``.
        is_own: tells by their names which things in it are the command's.
        unimportant: names of things that may be lost: locks, and what is made before the work begins.
    """

    path: Path
    holds: str = ""
    option: str = "--out"
    replaceable: bool = True
    is_own: Callable[[str], bool] = _any
    unimportant: frozenset[str] = frozenset({"lock"})

    def require_folder(self) -> None:
        """Raise ``RunError`` for a file."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; {self.option} takes a folder")

    def names(self) -> list[str]:
        """Return the names of what would be lost, sorted; raises ``RunError`` for a file."""
        self.require_folder()
        found = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(path.name for path in found if path.name not in self.unimportant)

    def require_new(self) -> None:
        """Refuse a folder that holds anything.

        Raises:
            RunError: it is a file, or not empty.
        """
        if names := self.names():
            raise RunError(f"{self.path} is not empty (it holds {shorten(names)}); choose a new folder")

    def require_own(self, begun: bool = True, *, resume: bool = False, overwrite: bool = False) -> bool:
        """Refuse a folder whose content the command may not use; returns whether there is something to resume.

        Args:
            begun: whether what the command keeps is in the folder; without it, all that lies there is foreign.
            resume: the user wants to resume it.
            overwrite: the user wants it thrown away.

        Raises:
            RunError: it is a file, holds other things, or what must not be lost without ``resume`` or ``overwrite``.
        """
        if resume and overwrite:
            raise RunError(f"--resume resumes {self.holds} and --overwrite throws it away: give one of them")
        names = self.names()
        self._refuse_foreign(names if not begun else [name for name in names if not self.is_own(name)])
        if begun and names and not (resume or overwrite):
            hint = "--resume resumes it" + (", --overwrite replaces it" if self.replaceable else "")
            raise RunError(f"{self.path} holds {self.holds} already; {hint}")
        return bool(names)

    def _refuse_foreign(self, names: Iterable[str]) -> None:
        if foreign := list(names):
            raise RunError(
                f"{self.path} holds other things than {self.holds} ({shorten(foreign, 1)}); choose another folder"
            )
