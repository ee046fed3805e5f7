# SPDX-License-Identifier: Apache-2.0
"""Teachers by the statistics of their stages: hand-worked statistics, the file they are kept in, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from helpers.tinyteachers import CLASSES
from safetensors.torch import save_file

from auricle.errors import UsageError
from auricle.nn.modules.efficientat import load_checkpoint
from auricle.teachers.heads import PENALTIES, PENALTY, LinearHead, choose_penalty, fit_head
from auricle.teachers.registry import open_stages, open_teacher
from auricle.teachers.stages import StageTeacher, open_stage_teacher, parse_stages, save_teacher, stage_statistics

SOUND = (0.1 * np.random.default_rng(0).standard_normal((2, 16_000))).astype(np.float32)


def test_statistics_by_hand():
    """Two stages of one and two channels. Over mel: 1 3 5; then 2 2 and 0 4. Means 3, 2, 2; deviations √(8/3), 0, 2."""
    first = torch.tensor([[[[0.0, 2.0, 4.0], [2.0, 4.0, 6.0]]]])
    second = torch.tensor([[[[2.0, 2.0]], [[0.0, 4.0]]]])
    found = stage_statistics([first, second])
    assert found[0].tolist() == pytest.approx([3, 2, 2, (8 / 3) ** 0.5, 0, 2])
    assert stage_statistics([second[..., :1]])[0].tolist() == [2, 0, 0, 0]  # a single step deviates by nothing


def test_the_embedding_is_the_statistics_of_the_chosen_maps(efficientat):
    teacher = open_stages(str(efficientat), "0,16")
    network, maps = load_checkpoint(efficientat), []
    with torch.inference_mode():
        x = network.features(torch.from_numpy(SOUND))[:, None]
        for stage in network.feature_map:
            x = stage(x)
            maps.append(x.mean(2).double().numpy())
        scores = torch.sigmoid(network(torch.from_numpy(SOUND)).clip_logits).numpy()
    expected = [maps[i].mean(-1) for i in (0, 16)] + [maps[i].std(-1) for i in (0, 16)]
    answer = teacher.score(SOUND)
    np.testing.assert_allclose(answer.embedding, np.concatenate(expected, axis=1), atol=1e-4)
    np.testing.assert_allclose(answer.scores, scores, atol=1e-5)
    assert teacher.labels == CLASSES
    assert answer.embedding.shape[1] == teacher.embedding_size
    assert open_stages(str(efficientat), "all").embedding_size > teacher.embedding_size
    assert open_stages(str(efficientat), "0").identity != teacher.identity


def test_a_model_folder_has_stages_too():
    teacher = open_stages("general", "0,3")
    answer = teacher.score(SOUND[:, :8_000])
    assert answer.embedding.shape == (2, teacher.embedding_size)
    assert answer.scores.shape == (2, 527)
    with pytest.raises(UsageError, match=r"esc10 is a MobileCrnn; only layers of EfficientAT can be taken one by one"):
        open_stages("esc10", "all")


@pytest.mark.parametrize("stages", ["17", "-1", "a", "", "0,,1"])
def test_stages_that_are_not_there(stages):
    with pytest.raises(UsageError, match=r"--stages .*: expected all, or numbers from 0 to 16 joined with commas"):
        parse_stages(stages, 17)


def fitted(teacher, labels=("high", "low")) -> StageTeacher:
    rng = np.random.default_rng(1)
    size = teacher.embedding_size
    head = LinearHead("single", rng.random(size), 1 + rng.random(size), rng.standard_normal((size, 2)), rng.random(2))
    return StageTeacher(teacher.staged, teacher.stages, head, labels)


@pytest.mark.parametrize("network", ["published", "general"])
def test_a_teacher_comes_back_from_its_file(network, efficientat, tmp_path):
    teacher = fitted(open_stages(str(efficientat) if network == "published" else "general", "1,4"))
    path = tmp_path / "voices.safetensors"
    save_teacher(teacher, path)
    again = open_teacher(str(path))
    assert (again.name, again.labels, again.stages) == ("voices", ("high", "low"), (1, 4))
    assert again.identity == teacher.identity
    answer = teacher.score(SOUND)
    assert np.array_equal(again.score(SOUND).scores, answer.scores)
    assert np.array_equal(again.score(SOUND).embedding, answer.embedding)
    np.testing.assert_allclose(answer.scores.sum(1), [1, 1], atol=1e-6)
    content = path.read_bytes()
    save_teacher(again, path)
    assert path.read_bytes() == content


def test_files_that_are_no_teachers(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(UsageError, match=r"no such file; `auricle teach --stages all --fit` writes one"):
        open_teacher(str(path))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match=r"x\.safetensors cannot be read: "):
        open_teacher(str(path))
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"holds no teacher; expected what `auricle teach --stages all --fit` wrote"):
        open_teacher(str(path))
    save_file({"a": torch.zeros(1)}, path, {"auricle.teacher": json.dumps({"format": 9})})
    with pytest.raises(UsageError, match=r"holds a teacher of format 9; expected"):
        open_stage_teacher(path)


def test_the_penalty_is_the_one_that_serves_clips_of_others():
    """The class shows weakly in one number and, in the clips of a fold alone, strongly in another one of that fold."""
    rng = np.random.default_rng(0)
    label, fold = np.arange(200) % 2, np.arange(200) // 100
    vectors = rng.standard_normal((200, 42)).astype(np.float32)
    vectors[:, 0] += label
    vectors[np.arange(200), 1 + fold] += 20 * label
    targets = np.eye(2)[label]
    turns = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in (0, 1)]

    def loss(penalty: float) -> float:
        total = 0.0
        for fitted, held in turns:
            scores = fit_head(vectors[fitted], targets[fitted], "single", penalty)(vectors[held]).astype(np.float64)
            total -= np.log(np.clip(scores[np.arange(len(held)), label[held]], 1e-7, 1 - 1e-7)).sum()
        return total

    losses = [loss(penalty) for penalty in PENALTIES]
    assert choose_penalty(vectors, targets, "single", turns) == PENALTIES[int(np.argmin(losses))]
    assert losses[0] > 1.2 * min(losses)
    both = choose_penalty(vectors, np.stack([label, label], 1).astype(float), "multi", turns)
    assert both in PENALTIES


def test_without_a_turn_the_usual_penalty():
    assert choose_penalty(np.zeros((4, 2), np.float32), np.eye(2)[[0, 1, 0, 1]], "single", []) == PENALTY
    one_kind = [([0, 2], [1, 3])]
    assert choose_penalty(np.zeros((4, 2), np.float32), np.eye(2)[[0, 1, 0, 1]], "single", one_kind) == PENALTY
