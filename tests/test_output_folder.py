# SPDX-License-Identifier: Apache-2.0
"""What may be written into a folder that is there already, and the texts of refusal."""

from __future__ import annotations

import pytest

from auricle.errors import RunError
from auricle.output_folder import OutputFolder


@pytest.fixture
def folder(tmp_path):
    """A folder with things of a sweep, and its lock."""
    for name in ("lock", "sweep.json", "trial0"):
        (tmp_path / name).touch()
    return OutputFolder(tmp_path, "a sweep")


def refusal(action) -> str:
    with pytest.raises(RunError) as caught:
        action()
    return str(caught.value)


def test_a_new_folder_and_an_empty_one_can_be_used(tmp_path):
    for path in (tmp_path / "new", tmp_path):
        OutputFolder(path).require_new()
        assert OutputFolder(path, "a sweep").require_own(begun=False) is False
    assert not (tmp_path / "new").exists(), "looking makes nothing"


def test_a_lock_alone_is_nothing_to_lose(tmp_path):
    (tmp_path / "lock").touch()
    OutputFolder(tmp_path).require_new()
    assert OutputFolder(tmp_path, "a sweep").require_own(begun=False) is False


def test_a_full_folder_is_not_new(folder, tmp_path):
    assert refusal(folder.require_new) == (
        f"{tmp_path} is not empty (it holds sweep.json, trial0); choose a new folder"
    )
    for name in "abc":
        (tmp_path / name).touch()
    assert "(it holds a, b, c and 2 more)" in refusal(folder.require_new)


def test_what_was_begun_needs_a_word(folder, tmp_path):
    text = f"{tmp_path} holds a sweep already; --resume resumes it, --overwrite replaces it"
    assert refusal(folder.require_own) == text
    assert folder.require_own(resume=True) is True
    assert folder.require_own(overwrite=True) is True
    only_resume = OutputFolder(tmp_path, "a sweep", replaceable=False)
    assert refusal(only_resume.require_own) == f"{tmp_path} holds a sweep already; --resume resumes it"


def test_both_words_contradict_each_other(folder):
    assert refusal(lambda: folder.require_own(resume=True, overwrite=True)) == (
        "--resume resumes a sweep and --overwrite throws it away: give one of them"
    )


@pytest.mark.parametrize("words", [{}, {"resume": True}, {"overwrite": True}])
def test_other_things_are_never_touched(folder, tmp_path, words):
    text = f"{tmp_path} holds other things than a sweep (sweep.json and 1 more); choose another folder"
    assert refusal(lambda: folder.require_own(begun=False, **words)) == text
    (tmp_path / "thesis.tex").touch()
    careful = OutputFolder(tmp_path, "a sweep", is_own=lambda name: name.startswith(("sweep", "trial")))
    assert "holds other things than a sweep (thesis.tex); choose another folder" in refusal(
        lambda: careful.require_own(**words)
    )


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "f").touch()
    for action in (OutputFolder(tmp_path / "f").require_new, OutputFolder(tmp_path / "f", "a sweep").require_own):
        assert refusal(action) == f"{tmp_path}/f is a file; --out takes a folder"
    assert refusal(OutputFolder(tmp_path / "f", option="--web").require_new).endswith("; --web takes a folder")
