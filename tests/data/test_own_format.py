# SPDX-License-Identifier: Apache-2.0
"""Formats of other packages: the example as its user has it, a new format in one file, and faults of others."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from pathlib import Path

import pytest

import auricle.data.formats
from auricle.data.check.dataset import check
from auricle.data.formats.registry import FORMATS, read_manifest, recognise_format
from auricle.errors import DataError, UsageError

EXAMPLE = Path(__file__).parents[2] / "examples" / "auricle-format-sidecar"
GROUP = "auricle.formats"
#: A whole format: it stands at the place of ``data/formats/words.py``, and nothing else is touched.
ONE_FILE = """
from auricle.data.formats.draft import Draft
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.manifest import Clip


def read(path, options):
    draft = Draft(path, "words", options)
    finder = draft.finder([str(path)])
    for number, line in enumerate((path / "words.lst").read_text("utf-8").splitlines(), 1):
        name, _, cell = line.partition(" ")
        found = draft.find(f"line {number}", name, finder)
        classes, negative = draft.labels(f"line {number}", cell)
        if found is not None:
            draft.add(f"line {number}", Clip(found.key, found.path, classes, negative), found)
    return draft.finish()


FORMATS.add("words", Format(lambda path, options: (path / "words.lst").is_file(), read, order=12))
"""


@pytest.fixture
def forget():
    """Leave the registry and the modules as they were."""
    before, modules = dict(FORMATS._items), set(sys.modules)
    yield
    for name in set(FORMATS._items) - set(before):
        if name in ("sidecar", "words", "mine"):
            del FORMATS._items[name]
    for name in set(sys.modules) - modules:
        if name in ("auricle_sidecar", "auricle.data.formats.words", "mine"):
            del sys.modules[name]


def install(folder: Path, monkeypatch, name: str, entry: str) -> None:
    """Leave a package as an installer would."""
    info = folder / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()


@pytest.fixture
def sidecar(tmp_path, monkeypatch, forget):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    (entry,) = (f"{name} = {value}" for name, value in project["entry-points"][GROUP].items())
    site = tmp_path / "site"
    install(site, monkeypatch, project["name"], entry)
    (site / "auricle_sidecar.py").write_bytes((EXAMPLE / "auricle_sidecar.py").read_bytes())


@pytest.mark.usefixtures("sidecar")
def test_the_example_reads_its_data(tmp_path, wav, write):
    root = tmp_path / "set"
    said = {"x/a": (["dog"], "north"), "b": (["cat", "dog"], None), "c": (["other"], "south")}
    for name, (labels, site) in said.items():
        wav(root / f"{name}.wav")
        write(root / f"{name}.json", json.dumps({"labels": labels, "site": site}))
    assert "sidecar" in FORMATS
    assert recognise_format(root) == "sidecar"
    manifest = read_manifest(root, data_format="sidecar")
    assert [(c.key, c.label, c.negative, c.group) for c in manifest.clips] == [
        ("b.wav", ("cat", "dog"), False, None),
        ("c.wav", (), True, "south"),
        ("x/a.wav", ("dog",), False, "north"),
    ]
    assert check(root).facts["form"] == "sidecar"
    write(root / "b.json", "[1]")
    write(root / "c.json", '{"labels": []}')
    with pytest.raises(DataError) as caught:
        read_manifest(root)
    assert caught.value.problems[0].startswith('b.json: expected {"labels": [...]} (TypeError: ')
    assert caught.value.problems[1] == "c.json: no label; write 'other' for a clip without any class"


@pytest.mark.usefixtures("forget")
def test_a_new_format_is_one_file(tmp_path, wav, write, monkeypatch):
    root = tmp_path / "set"
    for name in ("a.wav", "deep/b.wav"):
        wav(root / name)
    write(root / "words.lst", "a.wav dog\nb.wav cat;dog\n")
    assert "words" not in FORMATS
    write(tmp_path / "package" / "words.py", ONE_FILE)
    monkeypatch.setattr(auricle.data.formats, "__path__", [*auricle.data.formats.__path__, str(tmp_path / "package")])
    importlib.invalidate_caches()
    assert "words" in FORMATS.names()
    assert [(c.key, c.label) for c in read_manifest(root).clips] == [
        ("a.wav", ("dog",)),
        ("deep/b.wav", ("cat", "dog")),
    ]


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("module", "reason"),
    [("MINE = 3", "expected auricle's Format, got int"), ("import nowhere_at_all", "ModuleNotFoundError: No module")],
)
def test_a_package_that_offers_something_else_is_named(tmp_path, monkeypatch, module, reason):
    install(tmp_path / "site", monkeypatch, "auricle-mine", "mine = mine:MINE")
    (tmp_path / "site" / "mine.py").write_text(module, encoding="utf-8")
    with pytest.raises(UsageError, match=r"data format 'mine' of auricle-mine 0\.1 cannot be used") as caught:
        FORMATS.get("mine")
    assert reason in caught.value.message


def test_the_how_to_shows_the_entry_point_of_the_example():
    text = (Path(__file__).parents[2] / "docs" / "howto" / "own-label-format.md").read_text("utf-8")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    assert f'[project.entry-points."{GROUP}"]' in text
    assert all(f'{name} = "{value}"' in text for name, value in project["entry-points"][GROUP].items())
