# SPDX-License-Identifier: Apache-2.0
"""The path of the seed, end to end: AST -> soft labels as CSV -> log-mels as .npy -> CRNN student -> model -> tag."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tinyteachers import write_ast
from helpers.toydata import RATE, TINY, tiny, write_folders

from auricle import api
from auricle.data.arrays import FEATURES_FILE
from auricle.data.formats.registry import read_manifest
from auricle.data.numpy_import import LABELS_FILE, import_dataset
from auricle.errors import DataError
from auricle.nn.frontends.logmel import LogMel, LogMelSpec
from auricle.runtime.detector import load

CLASSES = ("Bark, dog", "Hum", "Whistle")


@pytest.fixture(scope="module")
def seed(tmp_path_factory):
    """Soft labels of a small AST, log-mels of the clips with that table beside them, and the recipe."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("seed")
    clips = write_folders(folder / "clips", clips=6)
    teacher = write_ast(folder / "ast", CLASSES, single=True)
    api.teach(clips, teacher=str(teacher), out=folder / "soft", window_s=0.6)
    recipe = tiny("model.head=concat_mlp", "task=single", "optim.epochs=1")
    f = recipe.frontend
    spec = LogMelSpec.of(f)
    mel = LogMel(spec)

    def features(samples: np.ndarray, _rate: int) -> np.ndarray:
        return mel(torch.from_numpy(np.array(samples))[None])[0].numpy()

    import_dataset(read_manifest(clips), folder / "npy", sample_rate=RATE, features=features, frontend=f.model_dump())
    features_json = json.loads((folder / "npy" / FEATURES_FILE).read_text())
    (folder / "npy" / FEATURES_FILE).write_text(json.dumps({**features_json, "labels": CLASSES}))
    shutil.copy(folder / "soft" / "labels.csv", folder / "npy" / LABELS_FILE)
    return folder


def rows(folder: Path) -> list[list[str]]:
    with (folder / "npy" / LABELS_FILE).open(newline="") as file:
        return list(csv.reader(file))


def write(folder: Path, table: list[list[str]]) -> None:
    with (folder / "npy" / LABELS_FILE).open("w", newline="") as file:
        csv.writer(file).writerows(table)


@pytest.fixture
def copy(seed, tmp_path):
    """The arrays and their table, to be spoilt."""
    shutil.copytree(seed / "npy", tmp_path / "npy")
    return tmp_path


OVERRIDES = [*TINY, "model.head=concat_mlp", "task=single", "optim.epochs=1"]


def test_from_the_teacher_to_a_tag(copy, seed):
    api.train(copy / "npy", out=copy / "model", overrides=OVERRIDES)
    detector = load(copy / "model")
    assert detector.labels == CLASSES
    result = detector.tag(str(seed / "clips" / "low" / "0.wav"))
    assert sum(score.score for score in result.scores) == pytest.approx(1, abs=1e-5)


def test_another_order_of_classes_is_joined_by_name(copy):
    table = rows(copy)
    order = [0, 3, 1, 2]
    write(copy, [[row[i] for i in order] for row in table])
    first = read_manifest(copy / "npy")
    write(copy, table)
    again = read_manifest(copy / "npy")
    assert first.labels == again.labels == CLASSES
    np.testing.assert_array_equal(first.targets(), again.targets())


@pytest.mark.parametrize(
    ("value", "message"),
    [("1.5", "is outside [0, 1]"), ("nan", "is outside [0, 1]"), ("-0.1", "is outside [0, 1]")],
)
def test_values_out_of_range_stop_with_their_line(copy, value, message):
    table = rows(copy)
    table[2][1] = value
    write(copy, table)
    with pytest.raises(DataError) as caught:
        api.train(copy / "npy", out=copy / "model", overrides=OVERRIDES)
    assert f"line 3: 'Bark, dog' = '{value}' {message}" in str(caught.value)


def test_a_row_that_is_no_distribution_stops(copy):
    table = rows(copy)
    table[2][1:] = ["0.9", "0.9", "0.9"]
    write(copy, table)
    with pytest.raises(DataError, match=r"line 3: the values sum to 2\.7, not to 1"):
        api.train(copy / "npy", out=copy / "model", overrides=OVERRIDES)
