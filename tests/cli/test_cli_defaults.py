# SPDX-License-Identifier: Apache-2.0
"""Defaults of a folder, and what goes before what; completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AURICLE_CONFIG", raising=False)
    return tmp_path


def labels_of(done):
    return [score["label"] for score in json.loads(done.out)["scores"]]


def test_what_stands_in_the_file_is_as_if_typed_and_what_is_typed_goes_before(place, auricle, recordings, model):
    (place / "auricle.toml").write_text(f'[tag]\nmodel = "{model}"\ntop = 1\nformat = "json"\n')
    done = auricle("tag", recordings / "a.wav")
    assert (done.code, len(labels_of(done))) == (0, 1)
    assert done.err == f"auricle: defaults of {place / 'auricle.toml'}: model, top, format\n"
    assert len(labels_of(auricle("tag", recordings / "a.wav", "--top", 2))) == 2
    assert auricle("tag", recordings / "a.wav", "-f", "csv").out.startswith("path,duration,label,score")
    assert auricle("tag", recordings / "a.wav", "--quiet").err == ""


def test_a_command_goes_before_all_and_lists_are_lists(place, auricle, recordings, model):
    (place / "auricle.toml").write_text(
        f'[all]\nmodel = "{model}"\nformat = "json"\nquiet = true\n'
        '[detect]\nformat = "csv"\nthreshold = ["loud=0.5", "quiet=1"]\n[data.deployment]\ntime-zone = "UTC"\n'
    )
    found = auricle("detect", recordings / "a.wav")
    assert (found.err, found.out.splitlines()[1:]) == ("", [f"{recordings / 'a.wav'},0.5,1.0,loud,0.75"])
    assert labels_of(auricle("tag", recordings / "a.wav"))
    (recordings / "deep" / "b.wav").rename(place / "20240501_000000.wav")
    assert '"2024-05-01T00:00:00+00:00"' in auricle("data", "deployment", place / "20240501_000000.wav").out


def test_everything_wrong_with_the_file_is_said_at_once(place, auricle):
    (place / "auricle.toml").write_text("[detekt]\nx = 1\n[detect]\nmodle = 'x'\nxyz = true\n[all]\nquite = true\n")
    done = auricle("tag", "x.wav")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"auricle: {place / 'auricle.toml'} cannot be used: [all] option 'quite' is unknown (did you mean 'quiet'?); "
        "command 'detekt' is unknown (did you mean 'detect'?); "
        "[detect] option 'modle' is unknown (did you mean 'model'?); [detect] option 'xyz' is unknown\n"
    )


@pytest.mark.parametrize(
    ("content", "message"), [("[tag", "cannot be read: "), ("all = 1", "cannot be used: [all] is no table")]
)
def test_a_file_that_is_none(place, auricle, content, message):
    (place / "auricle.toml").write_text(content)
    done = auricle("tag", "x.wav")
    assert (done.code, done.err.startswith(f"auricle: {place / 'auricle.toml'} {message}")) == (2, True)


def test_a_wrong_value_is_refused_as_if_typed(place, auricle, recordings, model):
    (place / "auricle.toml").write_text(f'[tag]\nmodel = "{model}"\ntop = 0\n')
    done = auricle("tag", recordings / "a.wav")
    assert (done.code, "--top" in done.err) == (2, True)


def test_the_file_that_is_named_is_the_one_and_empty_is_none(place, auricle, recordings, model, monkeypatch):
    (place / "auricle.toml").write_text("[nonsense]\n")
    (place / "other.toml").write_text(f'[tag]\nmodel = "{model}"\nformat = "json"\n')
    monkeypatch.setenv("AURICLE_CONFIG", str(place / "other.toml"))
    assert labels_of(auricle("tag", recordings / "a.wav"))
    monkeypatch.setenv("AURICLE_CONFIG", "")
    assert auricle("tag", recordings / "a.wav", "--model", model).code == 0
    monkeypatch.setenv("AURICLE_CONFIG", "gone.toml")
    done = auricle("tag", recordings / "a.wav", "--model", model)
    assert (done.code, done.err) == (
        2,
        "auricle: AURICLE_CONFIG is 'gone.toml', and there is no such file; empty means none\n",
    )


@pytest.mark.parametrize(("words", "found"), [("auricle det", "detect"), ("auricle detect --merge", "--merge-gap")])
def test_a_shell_is_told_what_may_follow(place, words, found):
    environment = {
        **os.environ, "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_AURICLE_COMPLETE": "complete_bash",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "auricle"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == [found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(auricle, shell):
    assert "_AURICLE_COMPLETE=complete_" in auricle("completion", shell).out
