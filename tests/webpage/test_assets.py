# SPDX-License-Identifier: Apache-2.0
"""The files of the page fit together: apart, as modules, and as one script."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from importlib import resources

import pytest

from auricle.reports import palette
from auricle.webpage.assets import joined_script, modules_of, page_html, read_asset, studio_assets, studio_html

ENTRIES = ["serve.js", "report.js", "site.js"]
TOP = re.compile(r"^(?:async )?(?:const|let|function|class)\s+(?:\{[^}]*\}|\[[^\]]*\]|\w+)", re.MULTILINE)


def test_what_is_imported_comes_first():
    names = list(modules_of("serve.js"))
    assert names[-1] == "serve.js"
    assert names.index("clock.js") < names.index("timeline.js") < names.index("page.js")
    assert len(names) == len(set(names))


@pytest.mark.parametrize("entry", ENTRIES)
def test_modules_joined_are_one_script_without_imports(entry):
    script = joined_script(entry)
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    names = Counter(TOP.findall(script))
    assert [name for name, count in names.items() if count > 1] == []
    assert len(names) > 50, "the search finds the names"
    assert sum(map(len, modules_of(entry).values())) - len(script) < 4000, "little but imports is left out"


@pytest.mark.parametrize("entry", [*ENTRIES, "studio.js"])
def test_every_name_that_is_imported_is_exported_there(entry):
    texts = modules_of(entry)
    for text in texts.values():
        for names, module in re.findall(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";', text, re.MULTILINE):
            for name in re.findall(r"\w+", names):
                assert re.search(rf"^export (?:async )?(?:const|function|class) {name}\b", texts[module], re.MULTILINE)
        assert len(re.findall(r"^import ", text, re.MULTILINE)) == len(
            re.findall(r'^import \{[^}\n]*\} from "\./', text, re.MULTILINE)
        )


def test_every_element_that_a_module_asks_for_is_in_the_markup():
    pages = "".join(read_asset(name) for name in ("page.html", "studio.html", "parts.html"))
    ids = set(re.findall(r'id="([\w-]+)"', pages))
    texts = [
        path.read_text(encoding="utf-8")
        for path in resources.files("auricle.webpage").iterdir()
        if path.name.endswith(".js")
    ]
    asked = {name for text in texts for name in re.findall(r'(?:\$|getElementById)\("([\w-]+)"\)', text)}
    assert asked
    assert asked <= ids


def test_text_does_not_become_markup():
    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found[tag] += 1

    found: Counter[str] = Counter()
    Tags().feed(page_html(title="<script>{head}", head="<style></style>", footer="<b>{tail}</b>"))
    assert found["script"] == found["b"] == 0
    assert found["style"] == 1


@pytest.mark.parametrize("markup", ["page.html", "studio.html"])
def test_both_pages_have_the_same_figure_and_each_element_once(markup):
    page = page_html(title="a", head="", footer="b", markup=markup)
    assert "{part" not in page
    assert "<!-- part" not in page
    ids = re.findall(r'id="([\w-]+)"', page)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'id="([\w-]+)"', read_asset("parts.html"))) <= set(ids)


def test_the_studio_asks_for_files_that_are_there():
    asked = re.findall(r'(?:href|src)="static/([\w.-]+)"', studio_html(title="a", footer="b"))
    assert {"studio.js", "page.css", "studio.css", "icon.svg"} == set(asked) <= set(studio_assets())


def test_every_module_belongs_to_a_page():
    used = {name for entry in [*ENTRIES, "studio.js"] for name in modules_of(entry)} | {"capture.js", "offline.js"}
    there = {p.name for p in resources.files("auricle.webpage").iterdir() if p.name.endswith(".js")}
    assert there == used


HUES = re.findall(r'"(#[0-9a-f]{6})"', read_asset("colours.js").partition("];")[0])


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, "contrast ratio", written down once more."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(c * weight for c, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


def test_there_are_a_dozen_hues_and_reports_have_the_same():
    assert len(set(HUES)) == len(HUES) == 12
    assert tuple(HUES) == palette.HUES


@pytest.mark.parametrize("hue", HUES)
@pytest.mark.parametrize("card", re.findall(r"--card: (#[0-9a-f]{6})", read_asset("page.css")))
def test_a_curve_stands_out_on_light_and_dark_pages(hue, card):
    assert contrast(hue, card) >= 2
