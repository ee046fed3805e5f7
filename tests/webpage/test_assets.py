# SPDX-License-Identifier: Apache-2.0
"""The files of the page fit together: apart, as modules, and as one script."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from importlib import resources

import pytest

from auricle.webpage.assets import joined_script, modules_of, page_html, read_asset

ENTRIES = ["serve.js"]
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


@pytest.mark.parametrize("entry", ENTRIES)
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
    ids = set(re.findall(r'id="([\w-]+)"', read_asset("page.html")))
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
