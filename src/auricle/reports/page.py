# SPDX-License-Identifier: Apache-2.0
"""Templates to pages that need nothing but themselves: no other file, no network, no script from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from auricle.errors import UsageError
from auricle.files import atomic_write

TEMPLATES = Path(__file__).parent / "templates"


def require_jinja() -> None:
    """Raise ``UsageError`` with the way to install it if the extra ``reports`` is missing."""
    try:
        import jinja2  # noqa: F401, PLC0415 (an extra)
    except ImportError as error:
        raise UsageError('pages need jinja2, which is not installed; do: pip install "auricle[reports]"') from error


def write_page(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    """Fill a template and write the page; text is escaped, so that no label or file name becomes markup.

    Raises:
        UsageError: jinja2 is not installed.
    """
    require_jinja()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (an extra)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(**values)
    atomic_write(Path(path), text.encode("utf-8", errors="replace"))
