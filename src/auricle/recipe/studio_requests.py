# SPDX-License-Identifier: Apache-2.0
"""What can be asked of ``auricle studio``. See ``recipe.requests``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from auricle.recipe.options import Argument, Option
from auricle.recipe.requests import PathLike
from auricle.recipe.scan_requests import DEFAULT_MODEL


@dataclass(frozen=True)
class StudioRequest:
    """A folder of recordings that is labelled, and where its project lies."""

    folder: Annotated[PathLike, Argument("A folder of recordings, with all below it.", "FOLDER")]
    _: KW_ONLY
    model: Annotated[
        str, Option("Detects while nothing was taught: a folder or a built-in model.", short="-m", metavar="MODEL")
    ] = DEFAULT_MODEL
    database: Annotated[
        PathLike | None,
        Option("The project's file.", metavar="FILE", shown="FOLDER/.auricle-studio/project.sqlite"),
    ] = None
    out: Annotated[
        PathLike | None,
        Option("Folder of the taught model.", short="-o", metavar="DIR", shown="model beside the project's file"),
    ] = None
    by: Annotated[
        str | None, Option("Who labels, as the journal calls them.", metavar="NAME", shown="the name of the user")
    ] = None
