# SPDX-License-Identifier: Apache-2.0
"""The comparison with the careless CRNN: who hears what, and what the table says of made-up runs."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from helpers.crowd import crowd

from auricle.nn.networks import NETWORKS
from experiments import careless_accuracy as accuracy

TINY = ("model.width=0.125", "data.clip_s=0.4", "optim.steps=1", "data.batch_size=4", "optim.warmup_steps=0")


@pytest.fixture
def shared(tmp_path):
    """Two recordings a fold, one of each of two classes."""
    folder = tmp_path / "shared/data/esc10"
    folder.mkdir(parents=True)
    rows = [
        [f"{fold}-{kind}.wav", str(fold), kind, f"{fold}{kind}"] for fold in range(1, 6) for kind in ("dog", "rain")
    ]
    with (folder / "esc10.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["filename", "fold", "category", "freesound_id"], *rows])
    rng = np.random.default_rng(0)
    for row in rows:
        soundfile.write(folder / row[0], 0.1 * rng.standard_normal(8_000), 16_000)
    return tmp_path / "shared"


def accuracy_words(settings):
    return [word for setting in settings for word in ("--set", setting)]


def test_three_folds_are_heard_the_fourth_is_scored_and_the_fifth_is_neither(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    heard = []
    trains = accuracy.fit

    def fit(material, split, folder, state, progress, group):
        heard.append([{material.manifest.clips[i].fold for i in part} for part in (split.train, split.dev, split.test)])
        return trains(material, split, folder, state, progress, group=group)

    monkeypatch.setattr(accuracy, "fit", fit)
    words = ["run", str(shared), str(tmp_path / "out"), "--network", "crnn", "--network", "careless_20ms"]
    words += ["--fold", "2", "--seed", "1", *accuracy_words(TINY)]
    try:
        accuracy.main(words)
        accuracy.main(words)  # what is there is not trained again
    finally:
        NETWORKS._items.pop("careless", None)
    assert heard == [[{"1", "3", "4"}, set(), set()]] * 2
    found = json.loads((tmp_path / "out/careless_20ms-fold2-seed1.json").read_text())
    assert found["clips"] == ["2-dog.wav", "2-rain.wav"]
    assert (found["steps"], len(found["right"])) == (1, 2)
    assert not list((tmp_path / "out/running").iterdir())


def test_two_processes_train_the_row_of_two_and_no_other(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    words = ["run", str(shared), str(tmp_path / "out"), "--fold", "2", "--seed", "1", *accuracy_words(TINY)]
    with pytest.raises(SystemExit, match=r"^crnn_two: not for 1 process\(es\); two of torchrun's train crnn_two$"):
        accuracy.main([*words, "--network", "crnn_two"])
    crowd(2, lambda group: accuracy.main(words), joined=False)
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["crnn_two-fold2-seed1.json"]
    found = json.loads((tmp_path / "out/crnn_two-fold2-seed1.json").read_text())
    assert (found["clips"], found["processes"]) == (["2-dog.wav", "2-rain.wav"], 2)
    assert not list((tmp_path / "out/running").iterdir())


def test_the_pack_holds_no_clip_of_the_fifth_fold_and_has_the_same_hash(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    accuracy.main(["pack", str(shared), str(tmp_path / "packed")])
    assert len(list((tmp_path / "packed/data/esc10").glob("*.wav"))) == 8
    assert not list((tmp_path / "packed/data/esc10").glob("5-*"))
    whole, packed = (accuracy.material_of(place, []).manifest for place in (shared, tmp_path / "packed"))
    assert packed.data_hash == whole.data_hash


def fill(out, network, right):
    """Write the runs of a network: what each seed gets right of two clips a fold."""
    for seed, row in enumerate(right):
        for fold, pair in zip(accuracy.FOLDS, np.reshape(row, (4, 2)), strict=True):
            facts = {
                "accuracy": float(np.mean(pair)),
                "clips": [f"{fold}a", f"{fold}b"],
                "groups": [f"{fold}a", f"{fold}b"],
                "right": [bool(v) for v in pair],
                "steps": 1500,
                "batch_size": 16,
                "parameters": 1000,
                "settings": ["run.threads=1"],
                "data_hash": "0" * 64,
                "device": "cpu",
                "machine": {"torch": "2.11", "commit": "abc"},
            }
            accuracy.Run(network, fold, seed).path(out).write_text(json.dumps(facts))


def test_the_table_of_made_up_runs(tmp_path):
    fill(tmp_path, "crnn", [[1] * 8, [1] * 8, [1] * 7 + [0]])
    fill(tmp_path, "careless", [[0] * 8] * 3)
    page = accuracy.table(tmp_path)
    # Accuracies 100, 100, 87.5: mean 95.8, standard deviation 7.2.
    assert "| CRNN, our default | 1,000 | 1,500 | **95.8 ± 7.2** | 100.00, 100.00, 87.50 |  |  |" in page
    assert "**0.0 ± 0.0** | 0.00, 0.00, 0.00 | +95.8 [+87.5, +100.0] | better beyond chance |" in page
    assert "careless, 40 ms every 20 ms: not measured yet." in page
    assert "8 clips of 8 source recordings" in page
    assert accuracy.verdict(-1, 1) == "no difference beyond chance"
    assert accuracy.verdict(-2, -1) == "worse beyond chance"


def test_folds_that_one_network_lacks_do_not_count(tmp_path):
    fill(tmp_path, "crnn", [[1] * 6 + [0] * 2] * 3)
    fill(tmp_path, "careless", [[0] * 2 + [1] * 6] * 3)
    accuracy.Run("careless", "1", 2).path(tmp_path).unlink()
    page = accuracy.table(tmp_path)
    assert "Without fold 2, 3, 4 in turn: 6 clips of 6 source recordings" in page
    assert "**66.7 ± 0.0**" in page
    assert "**100.0 ± 0.0**" in page
    accuracy.Run("careless", "2", 0).path(tmp_path).unlink()
    accuracy.Run("careless", "3", 0).path(tmp_path).unlink()
    accuracy.Run("careless", "4", 0).path(tmp_path).unlink()
    assert "careless, 25 ms every 10 ms: not measured yet." in accuracy.table(tmp_path)


def test_runs_of_other_clips_are_refused(tmp_path):
    fill(tmp_path, "crnn", [[1] * 8] * 3)
    path = accuracy.Run("crnn", "3", 2).path(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "clips": ["x", "y"]}))
    with pytest.raises(SystemExit, match="the runs of crnn scored different clips; take one OUT for one data set"):
        accuracy.table(tmp_path)
    fill(tmp_path, "crnn", [[1] * 8] * 3)
    fill(tmp_path, "careless", [[1] * 8] * 3)
    for seed in accuracy.SEEDS:
        path = accuracy.Run("careless", "1", seed).path(tmp_path)
        path.write_text(json.dumps({**json.loads(path.read_text()), "groups": ["x", "y"]}))
    with pytest.raises(SystemExit, match="crnn and careless scored different clips"):
        accuracy.table(tmp_path)


def test_the_device_is_named(monkeypatch):
    cuda = SimpleNamespace(is_available=lambda: True, get_device_name=lambda: "a card")
    monkeypatch.setattr(accuracy.torch, "cuda", cuda)
    assert accuracy.device_name() == "a card"
