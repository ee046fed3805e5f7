# SPDX-License-Identifier: Apache-2.0
"""Every fenced block in the documents is run, or parsed by what would run it."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer.main
import yaml
from helpers.tinybundle import RATE, make_bundle

from auricle.cli.main import app
from auricle.recipe.schema import Recipe

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").glob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Programs that documents may call, whose arguments are their own business.
FOREIGN = {"arecord", "curl", "openssl", "scontrol", "scp", "sudo", "head", "sqlite3", "."}
#: Blocks that nothing runs: drawings, tables and the files of other programs.
UNCHECKED = {"", "ini", "nginx", "text"}
#: Pages that are run whole elsewhere: ``test_reference.py`` and ``test_tutorials.py``.
ELSEWHERE = ("docs/reference/", "docs/tutorials/")


def blocks(*languages: str) -> list[object]:
    """Return the fenced blocks of some languages in all documents."""
    found = []
    for page in PAGES:
        for number, (language, text) in enumerate(
            re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)
        ):
            elsewhere = language in ("python", "sh") and str(page.relative_to(ROOT)).startswith(ELSEWHERE)
            if language in languages and not elsewhere:
                found.append(pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}"))
    return found


def languages() -> set[str]:
    return {name for page in PAGES for name in re.findall(r"^```(\w+)\n", page.read_text("utf-8"), re.M)}


def test_every_language_has_a_check():
    assert languages() <= UNCHECKED | {"sh", "bash", "python", "json", "yaml", "toml"}


@pytest.mark.parametrize("text", blocks("toml"))
def test_toml(text):
    assert tomllib.loads(text)


# --- shell ------------------------------------------------------------------------------------------------------------


def commands_in(block: str) -> Iterator[list[str]]:
    """Yield the words of each command: continued lines joined, pipes and redirections taken apart."""
    for line in block.replace("\\\n", " ").splitlines():
        kept = re.sub(r"^\w+=\$\(", "", line)  # a command whose output is kept is a command
        lexer = shlex.shlex(kept, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;()"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def problem_with(words: list[str]) -> str | None:
    """Return what is wrong with one command, or None."""
    if ">" in words:
        words = words[: words.index(">")]
    while words and (re.match(r"\w+=", words[0]) or words[0] in ("srun", "export")):
        words = words[1:]
    if not words or words[0] in FOREIGN:
        return None
    name, *rest = words
    if name == "auricle":
        return problem_with_auricle(rest)
    if name == "torchrun":
        return problem_with_auricle(rest[rest.index("auricle") + 1 :])
    if name == "make":
        known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
        return None if rest and rest[0] in known else f"no target {rest}"
    if name in ("pip", "python", "python3"):
        return problem_with_python(name, rest)
    return None if (ROOT / name).is_file() else f"nobody knows {name}"


def problem_with_auricle(words: list[str]) -> str | None:
    """Let the command line parse the words: commands, options, their types and choices, and what is required."""
    command = typer.main.get_command(app)
    name, context = "auricle", None
    try:
        while True:
            context = command.make_context(name, list(words), parent=context)
            if not hasattr(command, "commands"):
                return None
            rest = [*context._protected_args, *context.args]
            if not rest:
                return None if command.invoke_without_command else f"{name} needs a command"
            name, command, words = command.resolve_command(context, rest)
    except typer.Exit:
        return None
    except typer.TyperException as error:
        return error.format_message()


def problem_with_python(name: str, words: list[str]) -> str | None:
    if name == "pip":
        asked = re.findall(r"auricle\[([^]]+)\]", " ".join(words))
        missing = {extra for group in asked for extra in group.split(",")} - set(PROJECT["optional-dependencies"])
        return f"no extra {sorted(missing)}" if missing else None
    if not words:
        return "no arguments"
    if words[0] == "-m" and words[1].partition(".")[0] in ("benchmarks", "experiments", "scripts"):
        return None if (ROOT / (words[1].replace(".", "/") + ".py")).is_file() else f"no module {words[1]}"
    return None if words[0] == "-m" or words[0] == "listen.py" or (ROOT / words[0]).is_file() else f"no {words[0]}"


@pytest.mark.parametrize("block", blocks("sh", "bash"))
def test_shell(block):
    assert {" ".join(words): problem for words in commands_in(block) if (problem := problem_with(words))} == {}


def test_what_is_wrong_in_a_shell_block_is_seen():
    block = (
        "auricle tga x.wav\nFOO=1 auricle tag x.wav --tip 3 | head\nauricle models show   # nothing to show\n"
        "auricle tag x.wav --format xml > out\nauricle data fetch esc10 && auricle train clips/\nmake love\n"
        'pip install "auricle[everything]"\npython -m benchmarks.nothing\nfrobnicate x'
    )
    problems = [problem_with(words) for words in commands_in(block)]
    found = [problem for problem in problems if problem is not None]
    expected = (
        *("No such command 'tga'", "No such option: --tip", "Missing argument", "'xml' is not one of", "--out"),
        *("no target ['love']", "no extra ['everything']", "no module benchmarks.nothing", "nobody knows frobnicate"),
    )
    assert len(found) == len(expected)
    assert [text for text, problem in zip(expected, found, strict=True) if text not in problem] == []


# --- Python -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the documents name: a model, recordings, the truth about one, a journal, a microphone."""
    make_bundle(tmp_path / "models" / "yard")
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, 3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "night.flac", noise, RATE)
    for name in ("clips/quiet/0", "clips/quiet/1", "clips/loud/0", "clips/loud/1", "archive/quiet", "owl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        level, seed = (1.0 if "loud" in name else 0.01), len(name) + int(name[-1] == "1")
        soundfile.write(tmp_path / f"{name}.wav", level * np.random.default_rng(seed).uniform(-0.5, 0.5, RATE), RATE)
    (tmp_path / "card1").mkdir()
    soundfile.write(tmp_path / "card1" / "20241027_005000.WAV", noise, RATE)
    (tmp_path / "truth.csv").write_text("path,onset,offset,label,score\nnight.flac,0.0,3.0,quiet,1\n")
    (tmp_path / "scores" / "journal").mkdir(parents=True)
    record = '[7, {"path": "a.wav", "scores": [["quiet", 0.75]]}]'
    (tmp_path / "scores" / "journal" / "records").write_text(f"00000000 {record}\n")
    pcm = (np.random.default_rng(1).uniform(-0.2, 0.2, 4 * 16_000) * 32_767).astype("<i2").tobytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(pcm)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_python():
    assert len(blocks("python")) >= 5


@pytest.mark.parametrize("block", blocks("python"))
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a document may leave a file to be closed by itself
def test_python(block, place, capsys):
    exec(compile(block, "the document", "exec"), {"__name__": "__main__"})
    defines = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
    if not all(isinstance(node, defines) for node in ast.parse(block).body):  # else nothing runs that could print
        assert "quiet" in capsys.readouterr().out


def test_python_says_what_it_imports():
    """A block can be copied as it stands: every name it uses is its own, imported or built in."""
    for parameter in blocks("python"):
        tree = ast.parse(parameter.values[0])
        assert any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body), parameter.id


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("json"))
def test_json(block):
    for line in block.splitlines():
        assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_is_a_recipe(block):
    values = yaml.safe_load(block)
    values.pop("sweep", None)
    Recipe.model_validate(values)
