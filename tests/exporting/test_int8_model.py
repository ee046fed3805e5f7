# SPDX-License-Identifier: Apache-2.0
"""Making a model smaller: what is written, what is refused, and what people read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.toydata import TINY, write_folders

from auricle import api
from auricle.cli.main import main
from auricle.errors import TrainingError, UsageError
from auricle.exporting import int8_model
from auricle.files import sha256_file
from auricle.runtime.bundle import add_files, load_bundle


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("smaller") / "clips", clips=4)


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    path = tmp_path_factory.mktemp("smaller") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURICLE_CACHE", str(path.parent / "cache"))
        api.train(clips, out=path, overrides=[*TINY, "model.width=0.5", "optim.epochs=4", "optim.lr=0.01"])
    return path


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "model", ignore=shutil.ignore_patterns("run"))


def run(capsys, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    return caught.value.code or 0, printed.out, printed.err


def with_limits(model: Path, **limits: float) -> Path:
    """Change what the recipe of a model allows."""
    spec = load_bundle(model).spec
    recipe = {**spec.provenance.recipe, "export": limits}
    provenance = spec.provenance.model_copy(update={"recipe": recipe})
    return add_files(model, {}, spec.model_copy(update={"provenance": provenance})).path


def test_the_folder_gets_a_second_graph_with_its_hash_and_its_price(model):
    result = api.export_int8(model)
    bundle = load_bundle(model)
    assert bundle.spec.sha256["model.int8.onnx"] == sha256_file(model / "model.int8.onnx")
    assert set(bundle.spec.sha256) == {"model.onnx", "model.int8.onnx", "model.safetensors", "golden.npz", "clips.json"}
    part = bundle.spec.int8
    assert (part.arithmetic, part.clips, part.metric, part.shift_limit) == ("float", 0, "", 0.1)
    assert 0 < part.shift == result.shift < 0.1
    assert result.int8_bytes == (model / "model.int8.onnx").stat().st_size < 0.5 * result.float32_bytes
    assert (result.float32_ms > 0, result.int8_ms > 0) == (True, True)


def test_with_data_it_is_measured_and_says_so(model, clips, capsys):
    code, out, _ = run(capsys, "export", model, "--int8", "--data", clips, "--format", "json")
    assert code == 0
    result = json.loads(out)
    assert (result["metric"], result["clips"]) == ("accuracy", 8)
    assert result["int8"] >= result["float32"] - 0.005
    part = load_bundle(model).spec.int8
    assert (part.metric, part.clips, part.float32) == ("accuracy", 8, result["float32"])
    assert len(part.data_hash) == 64
    code, out, _ = run(capsys, "export", model, "--int8")
    assert "largest change of a score of the test input" in out, "a second export replaces the first"
    assert load_bundle(model).spec.int8.clips == 0


def test_too_much_of_a_shift_is_refused_and_nothing_is_written(model, capsys):
    with_limits(model, int8_shift=0.0)
    before = sorted(path.name for path in model.iterdir())
    limit = r"a score of the test input moves by \S+ \(allowed: 0, export.int8_shift\)"
    with pytest.raises(TrainingError, match=rf"^no 8-bit form of .*model was written: {limit}$"):
        api.export_int8(model)
    assert sorted(path.name for path in model.iterdir()) == before
    assert run(capsys, "export", model, "--int8")[0] == 1


def test_too_much_of_a_loss_is_refused(model, clips, monkeypatch):
    right = iter([0.9, 0.89, 0.89])
    monkeypatch.setattr(int8_model, "selection_figures", lambda *_: {"accuracy": next(right)})
    with pytest.raises(TrainingError, match=r"accuracy falls by 0\.01 \(allowed: 0\.005, export\.int8_loss\)"):
        api.export_int8(model, data=clips)
    assert not (model / "model.int8.onnx").exists()


def test_arithmetic_that_loses_leaves_the_weights_small(model, clips, monkeypatch):
    right = iter([0.9, 0.89, 0.9])
    monkeypatch.setattr(int8_model, "selection_figures", lambda *_: {"accuracy": next(right)})
    result = api.export_int8(model, data=clips)
    assert result.arithmetic == "float"
    assert result.note.startswith("8-bit arithmetic was not used: accuracy falls by 0.01 ")


def test_arithmetic_that_is_slow_here_leaves_the_weights_small(model, clips, monkeypatch):
    times = iter([[1.0, 1.2], [1.0, 1.0]])
    monkeypatch.setattr(int8_model, "_milliseconds", lambda *_: next(times))
    result = api.export_int8(model, data=clips)
    assert (result.arithmetic, result.note) == ("float", "8-bit arithmetic was not used: 1.2 ms a window instead of 1")
    monkeypatch.setattr(int8_model, "_milliseconds", lambda *_: [1.0, 0.5])
    assert api.export_int8(model, data=clips).arithmetic == "int8"


def test_a_model_that_came_with_auricle_stays_as_it_is():
    with pytest.raises(
        UsageError, match=r"^esc10 came with auricle and stays as it is; copy it first: cp -r \S+/esc10 my-model$"
    ):
        api.export_int8("esc10")


def test_nothing_to_do_is_wrong_use(model, capsys):
    assert run(capsys, "export", model)[::2] == (2, "auricle: nothing to do: give --int8, --web DIR or both\n")


def test_data_without_int8_is_wrong_use(model, clips, tmp_path, capsys):
    code, _, err = run(capsys, "export", model, "--web", tmp_path / "site", "--data", clips)
    assert (code, err) == (2, "auricle: --data is for --int8, which was not given\n")


def test_doctor_and_evaluate_know_both_forms(model, clips, capsys):
    code, _, err = run(capsys, "evaluate", clips, "--model", model, "--precision", "int8")
    assert (code, "has no int8 form; make it with `auricle export" in err) == (2, True)
    api.export_int8(model)
    code, out, _ = run(capsys, "doctor", model)
    assert code == 0
    assert "golden scores, int8  ok" in out
    asked = ("--precision", "int8", "--format", "json", "--split", "all")
    code, out, _ = run(capsys, "evaluate", clips, "--model", model, *asked)
    assert (code, json.loads(out)["n"]) == (0, 8)
    other = np.frombuffer((model / "model.onnx").read_bytes(), np.uint8)
    add_files(model, {"model.int8.onnx": other.tobytes()}, load_bundle(model).spec.model_copy(update={"int8": None}))
    assert run(capsys, "doctor", model)[0] == 0, "without a stated price, the same scores are expected"
