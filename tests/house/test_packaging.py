# SPDX-License-Identifier: Apache-2.0
"""What a release holds: data files, licences, one version, and the same checks on every road to main."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from check_wheel import expected_files, problems_of, problems_of_metadata, problems_of_source

import auricle

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "auricle"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def recipe_of(target: str) -> str:
    """Return the lines of a target of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.M)
    return found


def test_every_data_file_has_a_glob_and_every_glob_has_a_file():
    globs = PYPROJECT["tool"]["setuptools"]["package-data"]["auricle"]
    matched = {pattern: {path for path in PACKAGE.glob(pattern) if path.is_file()} for pattern in globs}
    assert [pattern for pattern, paths in matched.items() if not paths] == []
    data = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert data - set().union(*matched.values()) == set()


def test_licence_and_notice_are_shipped():
    assert set(PYPROJECT["project"]["license-files"]) == {"LICENSE", "NOTICE"}
    assert all((ROOT / name).is_file() for name in PYPROJECT["project"]["license-files"])


def test_the_version_is_written_once_and_the_changelog_knows_it():
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "auricle.__version__"}
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    released = [name for name in headings if name != "Unreleased"]
    assert auricle.__version__ == released[0]
    order = [tuple(map(int, name.split("."))) for name in released]
    assert order == sorted(set(order), reverse=True)


def test_workflows_pin_actions_by_commit_and_grant_no_more_than_a_job_needs():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        used = re.findall(r"uses: (\S+)", text)
        assert [name for name in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name)] == []
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {"contents": "read"}
        writing = {name for name, job in workflow["jobs"].items() if "write" in job.get("permissions", {}).values()}
        assert writing <= {"attest", "publish"}


def test_images_run_as_a_user_without_rights_and_their_files_are_in_the_context():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in ("Dockerfile", "Dockerfile.train"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(r"^USER (\S+)$", text, re.M)[-1] == "10001"
        copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for word in line.split()}
        assert {f"!{word}" for word in copied} <= set(ignored)
        assert all((ROOT / word).exists() for word in copied)
        extras = re.search(r'"\.\[([\w,]+)\]"', text)[1].split(",")
        assert set(extras) <= set(PYPROJECT["project"]["optional-dependencies"])
        assert ("train" in extras) == name.endswith("train")
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_a_wheel_that_lacks_something_is_seen():
    whole = expected_files() | {f"auricle-1.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE")}
    assert problems_of(whole) == []
    broken = whole - {"auricle/py.typed", "auricle-1.dist-info/licenses/NOTICE"} | {"tests/x.py"}
    assert problems_of(broken) == [
        "missing: auricle/py.typed",
        "not of the package: tests/x.py",
        "missing: NOTICE (license-files)",
    ]


def test_a_source_distribution_that_lacks_or_adds_something_is_seen():
    tracked = {"LICENSE", "tests/test_x.py"}
    whole = tracked | {"PKG-INFO", "setup.cfg", "src/auricle.egg-info/SOURCES.txt"}
    assert problems_of_source(whole, tracked) == []
    assert problems_of_source(whole - {"tests/test_x.py", "PKG-INFO"} | {".venv/x"}, tracked) == [
        "missing: tests/test_x.py",
        "not of the repository: .venv/x",
        "missing: PKG-INFO",
    ]


def test_the_licence_names_the_terms_of_the_models():
    stated = PYPROJECT["project"]["license"]
    text = f"License-Expression: {stated}\nLicense-File: LICENSE\nLicense-File: NOTICE\n\n"
    assert problems_of_metadata(text) == []
    assert problems_of_metadata("License-Expression: Apache-2.0 AND MIT\nLicense-File: LICENSE\n\n") == [
        "License-Expression 'Apache-2.0 AND MIT' lacks CC-BY-SA-4.0",
        "License-File lacks NOTICE",
    ]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(f"- {path.name}: " in notice for path in (PACKAGE / "bundles").iterdir() if path.is_dir())


def test_pre_commit_runs_what_make_lint_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    entries = [hook["entry"].removeprefix(".venv/bin/python -m ").removesuffix(" --force-exclude") for hook in hooks]
    lines = recipe_of("lint").splitlines()
    assert entries == [line.strip().removeprefix("$(RUN) -m ").removesuffix(" .") for line in lines]


def test_the_workflow_runs_the_targets_on_every_python_that_is_named():
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    called = {
        name
        for job in jobs.values()
        for step in job["steps"]
        for name in re.findall(r"make (\S+)", step.get("run", ""))
    }
    assert called == {"lint", "test", "wheel", "site"}
    assert all(recipe_of(name) for name in called)
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == named
    assert PYPROJECT["project"]["requires-python"] == f">={named[0]}"
