# SPDX-License-Identifier: Apache-2.0
"""Every kind of teacher, opened by its name and asked; and what is said where there is none."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.tinyteachers import CLASSES, write_ast, write_graph

from auricle.errors import BundleError, UsageError
from auricle.nn.modules.efficientat import load_checkpoint
from auricle.runtime.detector import load
from auricle.teachers.registry import open_teacher


def noise(teacher, batch: int = 2, seconds: float = 1.0) -> np.ndarray:
    shape = (batch, round(seconds * teacher.sample_rate))
    return (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def check_protocol(teacher, embedding: int) -> None:
    """What all teachers promise."""
    sound = noise(teacher)
    answer = teacher.score(sound)
    assert answer.scores.shape == (2, len(teacher.labels))
    assert answer.scores.dtype == np.float32
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()
    assert teacher.embedding_size == embedding
    assert embedding == 0 or answer.embedding.shape == (2, embedding)
    assert np.array_equal(teacher.score(sound).scores, answer.scores)
    alone = teacher.score(sound[1:])
    np.testing.assert_allclose(alone.scores[0], answer.scores[1], atol=1e-5)


def test_efficientat(efficientat):
    teacher = open_teacher(str(efficientat))
    assert (teacher.name, teacher.sample_rate, teacher.window_s, teacher.labels) == ("mn01", 32_000, 10.0, CLASSES)
    check_protocol(teacher, 144)
    with torch.inference_mode():
        logits = load_checkpoint(efficientat)(torch.from_numpy(noise(teacher))).clip_logits
    np.testing.assert_allclose(teacher.score(noise(teacher)).scores, torch.sigmoid(logits).numpy(), atol=1e-6)
    assert open_teacher(str(efficientat), bf16=True).identity == teacher.identity + "-bf16"


def test_efficientat_needs_the_names_of_its_classes(efficientat, tmp_path):
    shutil.copy(efficientat, tmp_path / "mn.pt")
    with pytest.raises(
        UsageError, match=r"audioset_class_labels_indices\.csv is missing: .* names of its 5 classes; put"
    ):
        open_teacher(str(tmp_path / "mn.pt"))
    (tmp_path / "audioset_class_labels_indices.csv").write_text("index,mid,display_name\n0,/m/1,Speech\n")
    with pytest.raises(UsageError, match="names 1 classes, the checkpoint has 5; they do not belong together"):
        open_teacher(str(tmp_path / "mn.pt"))


def test_transformers(ast):
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    teacher = open_teacher(str(ast))
    assert (teacher.sample_rate, teacher.window_s, teacher.labels) == (16_000, 10.0, CLASSES)
    check_protocol(teacher, 16)
    model, extractor = ASTForAudioClassification.from_pretrained(ast), ASTFeatureExtractor.from_pretrained(ast)
    inputs = extractor(list(noise(teacher)), sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = torch.sigmoid(model.eval()(**inputs).logits).numpy()
    np.testing.assert_allclose(teacher.score(noise(teacher)).scores, expected, atol=1e-6)


def test_a_model_of_one_class_a_clip_gives_a_distribution(tmp_path):
    pytest.importorskip("transformers")
    teacher = open_teacher(str(write_ast(tmp_path / "ast", single=True)))
    np.testing.assert_allclose(teacher.score(noise(teacher)).scores.sum(1), [1, 1], atol=1e-5)


def test_nothing_is_downloaded_unasked_and_the_place_tried_is_named(monkeypatch):
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it went to the network"))
    with pytest.raises(UsageError) as caught:
        open_teacher("hf:nobody/no-such-teacher")
    assert str(caught.value) == (
        f"teacher hf:nobody/no-such-teacher is not in {constants.HF_HUB_CACHE}; "
        "nothing is downloaded unasked: add --download, or name a local folder"
    )
    with pytest.raises(UsageError, match=r"teacher hf:a/b/c: expected hf:org/name"):
        open_teacher("hf:a/b/c")


def test_offline_the_hub_cannot_be_reached(monkeypatch):
    pytest.importorskip("huggingface_hub")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(UsageError, match=r"is not in .*; the hub could not be reached, or name a local folder"):
        open_teacher("hf:nobody/no-such-teacher", download=True)


def test_a_folder_that_transformers_cannot_load_is_refused(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UsageError, match=r"holds no audio classifier that transformers loads"):
        open_teacher(str(tmp_path))


def test_a_foreign_graph_by_hand(graph):
    """Logits are the mean times 1 to 5: a mean of 1 gives sigmoid(1) to sigmoid(5)."""
    teacher = open_teacher(str(graph))
    check_protocol(teacher, 0)
    ones = np.ones((1, 16_000), np.float32)
    np.testing.assert_allclose(teacher.score(ones).scores[0], 1 / (1 + np.exp(-np.arange(1, 6))), atol=1e-6)


def test_a_graph_with_softmax_and_an_embedding(tmp_path):
    teacher = open_teacher(str(write_graph(tmp_path, activation="softmax", embedding="logits")))
    answer = teacher.score(np.ones((1, 16_000), np.float32))
    expected = np.exp(np.arange(5)) / np.exp(np.arange(5)).sum()
    np.testing.assert_allclose(answer.scores[0], expected, atol=1e-6)
    assert answer.embedding.tolist() == [[1, 2, 3, 4, 5]]


def test_a_graph_needs_a_card_that_fits(tmp_path):
    path = write_graph(tmp_path)
    (tmp_path / "tagger.json").write_text('{"sample_rate": 8000, "labels": ["a"]}')
    with pytest.raises(UsageError, match=r"tagger\.json cannot be used: window_s: Field required; expected"):
        open_teacher(str(path))
    (tmp_path / "tagger.json").write_text('{"sample_rate": 8000, "window_s": 1, "labels": ["a"]}')
    with pytest.raises(UsageError, match=r"its scores have shape \(1, 5\), 1 labels are listed beside it"):
        open_teacher(str(path))
    (tmp_path / "tagger.json").unlink()
    with pytest.raises(UsageError, match=r"tagger\.json is missing beside it; write there \{"):
        open_teacher(str(path))
    with pytest.raises(UsageError, match=r"no\.onnx: no such file"):
        open_teacher(str(tmp_path / "no.onnx"))


def test_a_model_of_auricle():
    teacher = open_teacher("esc10")
    detector = load("esc10")
    assert teacher.labels == detector.labels
    check_protocol(teacher, detector.embedding_size)
    sound = noise(teacher, 1, detector.spec.window_s)
    expected = {s.label: s.score for s in detector.tag(sound[0], detector.spec.sample_rate).scores}
    found = dict(zip(teacher.labels, teacher.score(sound).scores[0].tolist(), strict=True))
    assert found == pytest.approx(expected, abs=1e-6)


def test_an_average_joins_classes_by_name_and_rates_by_resampling(efficientat, tmp_path):
    other = write_graph(tmp_path, labels=CLASSES[::-1])
    teacher = open_teacher(f"{efficientat},{other}")
    assert (teacher.name, teacher.sample_rate, teacher.window_s) == ("mn01+tagger", 32_000, 2.0)
    check_protocol(teacher, 144)
    first, second = open_teacher(str(efficientat)), open_teacher(str(other))
    ones = np.full((1, 32_000), 0.5, np.float32)
    expected = (first.score(ones).scores + second.score(ones[:, ::4]).scores[:, ::-1]) / 2
    np.testing.assert_allclose(teacher.score(ones).scores, expected, atol=2e-3)


def test_teachers_of_other_classes_have_no_average(efficientat, tmp_path):
    other = write_graph(tmp_path, labels=("Speech", "Cat"))
    with pytest.raises(
        UsageError, match=r"mn01 and tagger know other classes, such as Bark, dog, Cat, Hum; an average"
    ):
        open_teacher(f"{efficientat},{other}")


def test_what_is_no_teacher(tmp_path):
    with pytest.raises(UsageError, match=r"/teacher: no such folder; expected hf:org/name, a folder of transformers"):
        open_teacher(str(tmp_path / "teacher"))
    with pytest.raises(UsageError, match=r"it holds neither config\.json nor auricle\.json"):
        open_teacher(str(tmp_path))
    with pytest.raises(UsageError, match="esc1"):
        open_teacher("esc1")
    (tmp_path / "auricle.json").write_text("{}")
    with pytest.raises(BundleError):
        open_teacher(str(tmp_path))
