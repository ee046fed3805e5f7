# SPDX-License-Identifier: Apache-2.0
"""The files of the page: the markup, and modules with all that they import, apart or joined into one script."""

from __future__ import annotations

import html
import re
from importlib import resources

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|function|class)\b)", re.MULTILINE)
_PART = re.compile(r"^<!-- part ([\w-]+) -->\n", re.MULTILINE)
_LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"


def read_asset(name: str) -> str:
    """Return one of the files."""
    return (resources.files("auricle.webpage") / name).read_text(encoding="utf-8")


def modules_of(entry: str) -> dict[str, str]:
    """Return a module and all that it imports, by name: what is imported comes before what imports it."""
    found: dict[str, str] = {}

    def visit(name: str) -> None:
        text = read_asset(name)
        for imported in _IMPORT.findall(text):
            if imported not in found:
                visit(imported)
        found[name] = text

    visit(entry)
    return found


def joined_script(entry: str) -> str:
    """Return a module and all that it imports as one script, for a page that is a single file.

    Every import is one line of names from a file beside it, and no two modules have a name at their top in common.
    """
    texts = [_EXPORT.sub("", _IMPORT.sub("", text)).removeprefix(_LICENCE) for text in modules_of(entry).values()]
    return _LICENCE + "\n".join(texts)


def page_html(*, title: str, head: str, footer: str, tail: str = "", markup: str = "page.html") -> str:
    """Return the markup of the page; ``title`` and ``footer`` are text, ``head`` and ``tail`` markup."""
    _, *sections = _PART.split(read_asset("parts.html"))
    parts = {f"part:{name}": text.rstrip("\n") for name, text in zip(sections[::2], sections[1::2], strict=True)}
    parts |= {"title": html.escape(title), "head": head, "footer": html.escape(footer), "tail": tail}
    return re.sub(r"\{(title|head|footer|tail|part:[\w-]+)\}", lambda found: parts[found[1]], read_asset(markup))


_STUDIO_HEAD = (
    '<link rel="icon" href="static/icon.svg">\n<link rel="stylesheet" href="static/page.css">\n'
    '<link rel="stylesheet" href="static/studio.css">\n<script type="module" src="static/studio.js"></script>'
)


def studio_html(*, title: str, footer: str) -> str:
    """Return the markup of the studio's page, which loads what ``studio_assets`` names from ``static/``."""
    return page_html(title=title, head=_STUDIO_HEAD, footer=footer, markup="studio.html")


def studio_assets() -> dict[str, str]:
    """Return the files that the studio's page loads, by name."""
    return {**modules_of("studio.js"), **{name: read_asset(name) for name in ("page.css", "studio.css", "icon.svg")}}
