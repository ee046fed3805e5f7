# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from auricle.errors import UsageError
from auricle.runtime import model_names


@pytest.fixture
def builtins(tmp_path, monkeypatch):
    for name in ("audioset", "esc10"):
        (tmp_path / "bundles" / name).mkdir(parents=True)
        (tmp_path / "bundles" / name / "auricle.json").write_text("{}")
    (tmp_path / "bundles" / "draft").mkdir()
    monkeypatch.setattr(model_names, "BUNDLES", tmp_path / "bundles")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bundles"


def test_a_slash_or_an_existing_path_is_a_folder(builtins):
    assert model_names.resolve_model("models/yard") == Path("models/yard")
    assert model_names.resolve_model("./esc10") == Path("esc10")
    assert model_names.resolve_model(Path("esc10")) == Path("esc10")
    Path("mine").mkdir()
    assert model_names.resolve_model("mine") == Path("mine")


def test_a_built_in_name_is_found(builtins):
    assert model_names.builtin_models() == ["audioset", "esc10"]
    assert model_names.resolve_model("esc10") == builtins / "esc10"


def test_a_folder_of_recordings_hides_no_built_in_model(builtins):
    """Data lies in ``esc10/`` as often as not; a model that somebody put there is theirs."""
    Path("esc10").mkdir()
    assert model_names.resolve_model("esc10") == builtins / "esc10"
    Path("esc10", "auricle.json").write_text("{}", encoding="utf-8")
    assert model_names.resolve_model("esc10") == Path("esc10")


def test_a_typo_is_no_download(builtins, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        UsageError,
        match=r"unknown model 'esc1' \(did you mean 'esc10'\?\); built in: audioset, esc10; "
        r"a folder is written with a slash \(./esc1\), a model of the hub as hf:org/name",
    ):
        model_names.resolve_model("esc1")
    with pytest.raises(UsageError, match="unknown model ''"):
        model_names.resolve_model("")
    with pytest.raises(UsageError, match=r"'hf:name' is not the name of a model on the hub: expected hf:org/name"):
        model_names.resolve_model("hf:name")
    with pytest.raises(UsageError, match="is not the name of a model on the hub"):
        model_names.resolve_model("hf:../../etc")


def test_without_built_in_models_it_says_so(builtins, monkeypatch, tmp_path):
    monkeypatch.setattr(model_names, "BUNDLES", tmp_path / "none")
    with pytest.raises(UsageError, match="built in: none"):
        model_names.resolve_model("esc10")
