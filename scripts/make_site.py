# SPDX-License-Identifier: Apache-2.0
"""Build the documentation site into build/site: ``make site``. With ``--links`` list the addresses outside it.

The pages of docs/ are plain Markdown, which every host of code shows. This script prepares copies of them for Sphinx
and runs it, with warnings as errors:

- docs/README.md lists all pages; its headings become the sections of the site's navigation, and a ``README.md``
  below it that of its folder;
- links to files outside docs/ lead to copies of them;
- behind the example of each public name of docs/reference/, Sphinx writes its signature and docstring.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / "build" / "site"
PREPARED = ROOT / "build" / "site-pages"
#: Pages outside docs/ that have a place on the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "recipes/README.md": "recipes.md",
}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]*)(#[^)\s]*)?(\))")
#: A section of the reference, whose heading names something public, such as ``## `auricle.load` ``.
PUBLIC = re.compile(r"^## `(auricle(?:\.\w+)+)`\n.*?(?=^## |\Z)", re.M | re.S)


def pages() -> dict[str, str]:
    """Return where each Markdown page goes: its path in the repository, and that on the site."""
    own = (path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")))
    found = {f"docs/{name}": name for name in own if name not in ("README.md", "site/index.md")}
    return found | {"docs/site/index.md": "index.md", "docs/README.md": "index.md"} | OUTSIDE


def relinked(text: str, page: str) -> tuple[str, set[str]]:
    """Return a page with its links as the site needs them, and the files that they lead to.

    Args:
        text: Markdown.
        page: its path in the repository.
    """
    places, files = pages(), set()
    here = posixpath.dirname(places[page])

    def turn(match: re.Match[str]) -> str:
        before, target, anchor, after = match[1], match[2], match[3] or "", match[4]
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if (ROOT / path / "README.md").is_file() and path in ("docs", "docs/adr", "docs/results", "docs/reference"):
            path += "/README.md"
        if path in places:
            return f"{before}{posixpath.relpath(places[path], here or '.')}{anchor}{after}"
        if (ROOT / path).is_dir():
            return match[0].removesuffix(after).partition("](")[0].removeprefix("[")  # a folder has no page
        if not (ROOT / path).is_file():
            return match[0]  # a test of the documents names it
        files.add(path)
        return f"{before}{posixpath.relpath('files/' + path, here or '.')}{after}"

    return LINK.sub(turn, text), files


def sections(readme: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the headings of docs/README.md with the pages that stand below them, in their order, each page once."""
    seen: set[str] = set()
    for part in re.split(r"^## ", readme, flags=re.M)[1:]:
        title, _, body = part.partition("\n")
        links = [posixpath.normpath(posixpath.join("docs", match[2])) for match in LINK.finditer(body) if match[2]]
        names = [f"{link}/README.md" if (ROOT / link).is_dir() else link for link in links]
        places = pages()
        new = [places[name] for name in dict.fromkeys(names) if name in places and name not in seen and _on_top(name)]
        seen.update(names)
        yield title.strip(), new


def _on_top(name: str) -> bool:
    """Tell whether a page has its place in a section, and not below its folder's README."""
    return name.endswith("README.md") or not (ROOT / name).with_name("README.md").is_file() or name.count("/") < 2


def toctree(names: list[str], caption: str = "", folder: str = "") -> str:
    """Return the directive by which Sphinx puts pages into the navigation."""
    head = f":caption: {caption}\n" if caption else ":maxdepth: 1\n"
    entries = "".join(f"{posixpath.relpath(name, folder or '.').removesuffix('.md')}\n" for name in names)
    return f"\n```{{toctree}}\n{head}{'' if folder else ':hidden:' + chr(10)}\n{entries}```\n"


def with_navigation(text: str, place: str) -> str:
    """Return a page with its part of the navigation: all sections on the first one, a folder on that of its README."""
    if place == "index.md":
        readme = (DOCS / "README.md").read_text(encoding="utf-8")
        parts = [(title, names) for title, names in sections(readme) if names]
        placed = {name for _, names in parts for name in names}
        parts.append(("Project", [name for name in OUTSIDE.values() if name not in placed]))
        return text + "".join(toctree(names, title) for title, names in parts)
    folder, name = posixpath.split(place)
    if name == "README.md":
        below = (p.relative_to(DOCS).as_posix() for p in sorted((DOCS / folder).glob("*.md")) if p.name != name)
        return text + toctree(list(below), folder=folder)
    return text


def with_entries(text: str) -> str:
    """Return a page of the reference with Sphinx's entry behind the example of each public name."""
    return PUBLIC.sub(lambda match: f"{match[0].rstrip()}\n\n```{{eval-rst}}\n{entry(match[1])}\n```\n\n", text)


def entry(name: str) -> str:
    """Return the directive for a public name: a class, an exception, a function, data or a module."""
    import importlib  # noqa: PLC0415 (auricle is needed for the reference only)
    import inspect  # noqa: PLC0415

    home, _, last = name.rpartition(".")
    try:
        thing = getattr(importlib.import_module(home), last)
    except ImportError:
        home, _, outer = home.rpartition(".")
        thing = getattr(getattr(importlib.import_module(home), outer), last)
    if inspect.isclass(thing):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
        return f".. {kind}:: {name}\n   :show-inheritance:" if kind == "autoexception" else f".. {kind}:: {name}"
    return f".. {'autofunction' if callable(thing) else 'autodata'}:: {name}"


def prepare(into: Path = PREPARED) -> None:
    """Write the pages, and what they lead to, into a folder for Sphinx."""
    shutil.rmtree(into, ignore_errors=True)
    wanted: set[str] = set()
    for page, place in pages().items():
        if page == "docs/README.md":
            continue
        text, files = relinked((ROOT / page).read_text(encoding="utf-8"), page)
        wanted |= files
        target = into / place
        target.parent.mkdir(parents=True, exist_ok=True)
        text = with_entries(text) if place.startswith("reference/") else text
        target.write_text(with_navigation(text, place), encoding="utf-8")
    for path in sorted(wanted):
        target = into / "files" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    shutil.copy(DOCS / "site" / "conf.py", into)
    shutil.copytree(DOCS / "site" / "static", into / "static")


def outside_addresses() -> list[str]:
    """Return the addresses that pages link to outside the site. They are listed, never asked: hosts come and go."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in pages()]
    return sorted({match[2] for text in texts for match in LINK.finditer(text) if match[2].startswith("http")})


def sphinx_command(source: Path, target: Path) -> list[str]:
    """Return what Python is called with: HTML, warnings are errors, and names in signatures are looked up."""
    return ["-m", "sphinx", "-b", "html", "-W", "--keep-going", "-n", "-q", str(source), str(target)]


def main(arguments: list[str]) -> int:
    """Prepare the pages and run Sphinx on them, or with ``--links`` list addresses; returns the exit code."""
    if arguments == ["--links"]:
        print("\n".join(outside_addresses()))  # noqa: T201
        return 0
    prepare()
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, *sphinx_command(PREPARED, SITE)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 (what is run is written here)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
