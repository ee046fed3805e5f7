# SPDX-License-Identifier: Apache-2.0
"""Models of others as model folders: they score as their originals do, and nothing is written that does not."""

from __future__ import annotations

import csv
import json

import numpy as np
import onnx
import pytest
import torch
from helpers.cli_fixtures import auricle  # noqa: F401
from helpers.tinyteachers import CLASSES, write_ast, write_efficientat, write_graph
from onnx import TensorProto, helper

import auricle as package
from auricle.errors import RunError, TrainingError, UsageError
from auricle.nn.frontends.ast_bank import AstBank
from auricle.teachers.efficientat import LABELS_FILE, open_efficientat
from auricle.teachers.hub import open_hub
from auricle.training import foreign_models

RNG = np.random.default_rng(3)


def scores_of(result):
    return {score.label: score.score for score in result.scores}


# --- EfficientAT


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_efficientat(tmp_path_factory.mktemp("mn01"))


@pytest.fixture(scope="module")
def imported(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mn01"
    package.import_model(checkpoint, out=out, window_s=2.0, license="MIT")
    return out


def test_a_checkpoint_scores_as_the_network_it_holds(checkpoint, imported):
    detector, teacher = package.load(imported), open_efficientat(checkpoint)
    sound = (0.1 * RNG.standard_normal(64_000)).astype(np.float32)
    expected = teacher.score(sound[None])
    found = scores_of(detector.tag(sound, 32_000))
    assert np.allclose([found[name] for name in CLASSES], expected.scores[0], atol=1e-4)
    assert np.allclose(detector.embed(sound, 32_000).embedding, expected.embedding[0], atol=1e-3)


def test_the_folder_says_where_it_comes_from(checkpoint, imported):
    spec = package.load(imported).spec
    assert (spec.name, spec.task, spec.labels, spec.sample_rate) == ("mn01", "multi", CLASSES, 32_000)
    assert (spec.window_s, spec.hop_s, spec.frames, spec.model.name) == (2.0, 2.0, None, "efficientat")
    assert spec.label_ids["Hum"] == "/m/2"
    assert spec.provenance.license == "MIT"
    assert len(spec.provenance.initial_weights) == 64
    card = (imported / "README.md").read_text()
    assert "Imported from `mn01.pt`" in card
    assert "Licence: MIT." in card
    assert str(checkpoint.parent) not in (imported / "auricle.json").read_text() + card


def test_it_detects_by_windows_and_becomes_smaller(imported, tmp_path):
    detector = package.load(imported)
    found = detector.detect(np.zeros(100_000, np.float32), 32_000, threshold=0.0)
    assert [flag.code for flag in found.flags if flag.code == "window_resolution"] == ["window_resolution"]
    assert found.events
    assert set(found["Hum"][0].to_dict()) == {"label", "onset", "offset", "score"}
    made = package.export_int8(imported)
    assert made.int8_bytes < made.float32_bytes


def test_training_begins_with_its_weights(imported):
    """The weights are those of the network: a run with --init finds them under our names."""
    from safetensors.torch import load_file

    names = load_file(imported / "model.safetensors")
    assert {"feature_map.0.0.weight", "head.0.weight", "head.3.bias"} <= names.keys()


def test_a_checkpoint_without_its_classes(checkpoint, tmp_path):
    alone = tmp_path / "mn01.pt"
    alone.write_bytes(checkpoint.read_bytes())
    with pytest.raises(UsageError, match="is missing: the checkpoint holds no names of its 5 classes"):
        package.import_model(alone, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    table = checkpoint.with_name(LABELS_FILE)
    assert package.import_model(alone, out=tmp_path / "out", labels=table, window_s=1.0).spec.labels == CLASSES


# --- transformers


@pytest.fixture(scope="module")
def ast(tmp_path_factory):
    pytest.importorskip("transformers")
    return write_ast(tmp_path_factory.mktemp("ast") / "tiny")


def test_an_ast_scores_as_transformers_does(ast, tmp_path):
    package.import_model(ast, out=tmp_path / "ast")
    detector, teacher = package.load(tmp_path / "ast"), open_hub(str(ast))
    assert detector.spec.window_s == pytest.approx((400 + 103 * 160) / 16_000)  # 104 frames
    samples = detector.spec.window_samples
    sounds = [
        0.1 * RNG.standard_normal(samples), 0.5 * np.sin(np.arange(samples) / 3), np.zeros(samples),
        1e-4 * RNG.standard_normal(samples) + 0.2,
    ]  # fmt: skip
    for sound in np.array(sounds, np.float32):
        expected = teacher.score(sound[None])
        found = scores_of(detector.tag(sound, 16_000))
        assert np.allclose([found[name] for name in CLASSES], expected.scores[0], atol=1e-4)
        assert np.allclose(detector.embed(sound, 16_000).embedding, expected.embedding[0], atol=1e-3)


def test_one_class_of_several_is_softmax(tmp_path):
    pytest.importorskip("transformers")
    folder = write_ast(tmp_path / "single", single=True)
    package.import_model(folder, out=tmp_path / "out")
    detector = package.load(tmp_path / "out")
    assert detector.spec.task == "single"
    assert sum(scores_of(detector.tag(np.zeros(16_880, np.float32), 16_000)).values()) == pytest.approx(1.0, abs=1e-5)


def test_the_front_end_is_that_of_transformers(ast):
    teacher = open_hub(str(ast))
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(257, 16, 20, 8_000, 16_000, mel_scale="kaldi", triangularize_in_mel_space=True)
    ours = AstBank(torch.from_numpy(bank), 104, teacher.extractor.mean, teacher.extractor.std)
    for samples in (400, 8_000, 16_880, 20_000):  # one frame, padded, whole, cut
        sound = (0.1 * RNG.standard_normal(samples)).astype(np.float32)
        theirs = teacher.extractor([sound], sampling_rate=16_000, return_tensors="pt")["input_values"]
        assert torch.allclose(ours(torch.from_numpy(sound)[None]), theirs, atol=2e-3)


def test_other_networks_of_transformers_are_refused(ast, tmp_path, monkeypatch):
    teacher = open_hub(str(ast))
    monkeypatch.setattr(teacher.model.config, "model_type", "wav2vec2")
    monkeypatch.setattr(foreign_models, "open_hub", lambda name: teacher)
    with pytest.raises(UsageError) as caught:
        package.import_model(ast, out=tmp_path / "out")
    assert str(caught.value) == f"{ast}: a model of type wav2vec2; of transformers, AST is imported, others can teach"


def test_a_graph_that_scores_otherwise_is_not_written(ast, tmp_path, monkeypatch):
    monkeypatch.setattr("auricle.nn.frontends.ast_bank.PRE_EMPHASIS", 0.5)
    monkeypatch.setattr(foreign_models, "TOLERANCE", 1e-7)
    with pytest.raises(TrainingError, match="the exported graph's scores differ from the original's by"):
        package.import_model(ast, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- ONNX


def test_a_tagger_gets_our_names(tmp_path):
    """Logits are the mean, 0.25, times 1 to 5; a sigmoid makes scores of them."""
    source = write_graph(tmp_path / "in")
    package.import_model(source, out=tmp_path / "out")
    detector = package.load(tmp_path / "out")
    found = scores_of(detector.tag(np.full(16_000, 0.25, np.float32), 8_000))
    expected = 1 / (1 + np.exp(-0.25 * np.arange(1, 6)))
    assert np.allclose([found[name] for name in CLASSES], expected, atol=1e-6)
    assert (detector.spec.window_s, detector.spec.fixed_length) == (2.0, True)


def test_a_tagger_that_uses_our_names_inside(tmp_path):
    """``waveform`` and ``clip`` are inner values here, an embedding is given, and scores are a softmax."""
    nodes = [
        helper.make_node("Abs", ["sound"], ["waveform"]),
        helper.make_node("ReduceMean", ["waveform"], ["embedding_2"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["embedding_2", "embedding_2"], ["clip"], axis=1),
    ]
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", k]) for n, k in (("clip", 2), ("embedding_2", 1))
    ]
    sound = helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["b", "t"])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [sound], values), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, tmp_path / "t.onnx")
    card = {"sample_rate": 8_000, "window_s": 1.0, "labels": ["a", "b"], "activation": "softmax"}
    (tmp_path / "t.json").write_text(json.dumps({**card, "embedding": "embedding_2"}))
    package.import_model(tmp_path / "t.onnx", out=tmp_path / "out")
    detector = package.load(tmp_path / "out")
    sound = np.tile(np.float32([0.5, -0.25]), 4_000)
    assert scores_of(detector.tag(sound, 8_000)) == {"a": 0.5, "b": 0.5}
    assert detector.embed(sound, 8_000).embedding.tolist() == [0.375]
    assert detector.spec.task == "single"


# --- what is refused


def test_what_is_no_model_is_refused(tmp_path, auricle):  # noqa: F811
    done = auricle("models", "import", tmp_path, "--out", tmp_path / "out")
    assert (done.code, done.err) == (
        2,
        f"auricle: {tmp_path}: expected an EfficientAT checkpoint (.pt), an ONNX tagger (.onnx with a .json beside "
        "it), or an AST of transformers: a folder with config.json, or hf:org/name\n",
    )


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    source = write_graph(tmp_path / "in")
    with pytest.raises(RunError, match=r"is not empty \(it holds tagger.json, tagger.onnx\); choose a new folder"):
        package.import_model(source, out=tmp_path / "in")


def test_impossible_windows_are_named(tmp_path):
    source = write_graph(tmp_path / "in")
    with pytest.raises(UsageError, match="no model folder can say this"):
        package.import_model(source, out=tmp_path / "out", hop_s=5.0)


def test_the_command_says_what_there_is_now(tmp_path, auricle):  # noqa: F811
    source = write_graph(tmp_path / "in")
    done = auricle("models", "import", source, "--out", tmp_path / "out", "--hop", "1")
    assert (done.code, done.out) == (0, f"{tmp_path / 'out'}: 5 classes, windows of 2 s at 8000 Hz\n")
    assert auricle("doctor", tmp_path / "out").code == 0


@pytest.mark.slow
@pytest.mark.shared
def test_mn04_names_esc10_without_training(shared, tmp_path):
    """527 classes; 96.25 % zero-shot on ESC-10, as the original code scores."""
    from experiments.distillation import MEANS

    source = shared / "models/mn04_as_mAP_432.pt"
    model = package.import_model(source, out=tmp_path / "mn04", window_s=5.0)
    assert len(model.spec.labels) == 527
    detector, data = package.load(tmp_path / "mn04"), shared / "data/esc10"
    with (data / "esc10.csv").open(newline="") as file:
        truth = {str(data / row["filename"]): row["category"] for row in csv.DictReader(file)}
    right = 0
    for result in detector.tag_many(truth):
        found = scores_of(result)
        best = max(MEANS, key=lambda label: max(found[name] for name in MEANS[label]))
        right += best == truth[result.path]
    assert right / len(truth) == pytest.approx(0.9625, abs=0.005)
