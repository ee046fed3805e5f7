# SPDX-License-Identifier: Apache-2.0
"""From a data set to material: what is used, what is left out, and what is to be learnt."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from helpers.toydata import RATE, Listener, sound, tiny, write_folders

from auricle.data.balance import class_weights, group_weights, sampler_weights
from auricle.errors import ConfigError, DataError
from auricle.recipe.requests import DataSource
from auricle.training.distributed import Group
from auricle.training.preparation import prepare, prepare_run, read_training_data, rebuild_cache, training_set


def prepared(data, *overrides, listener=None, sample_rate=None):
    listener = Listener() if listener is None else listener
    return prepare_run(DataSource(data, sample_rate=sample_rate), tiny(*overrides), listener).material


@pytest.fixture
def clips(tmp_path):
    return write_folders(tmp_path / "clips", clips=10)


@pytest.fixture
def with_negatives(tmp_path):
    return write_folders(tmp_path / "clips", clips=4, labels=("low", "high", "other"))


# --- what is used


def test_the_task_is_settled_by_the_data(clips):
    material = prepared(clips)
    assert (material.recipe.task, material.target.task, material.target.negatives) == ("single", "single", False)
    assert prepared(clips, "task=multi").target.task == "multi"
    assert material.skipped == {}
    assert material.targets.sum(0).tolist() == [10, 10]


def test_negatives_are_rows_of_zeros(with_negatives):
    material = prepared(with_negatives)
    assert material.target.negatives
    assert len(material.manifest) == 12
    assert (material.targets.sum(1) == 0).sum() == 4


def test_negatives_can_be_left_out(with_negatives):
    material = prepared(with_negatives, "data.negatives=ignore")
    assert not material.target.negatives
    assert len(material.manifest) == 8


def test_a_few_bad_files_are_left_out_and_named(clips):
    (clips / "low" / "3.wav").write_bytes(b"")
    listener = Listener()
    material = prepared(clips, listener=listener)
    assert len(material.manifest) == len(material.targets) == 19
    assert list(material.skipped) == [("low/3.wav", 0.0, None)]
    (said,) = [text for text in listener.notices if text.startswith("not used")]
    assert said.startswith("not used: empty_file: ")


def test_too_many_bad_files_stop_the_run_before_it_starts(clips):
    for i in range(7):
        (clips / "low" / f"{i}.wav").write_bytes(b"nonsense" * (i + 1))
    with pytest.raises(DataError) as caught:
        prepared(clips)
    assert caught.value.summary == "7 of 20 recordings cannot be decoded; training needs at least 90% of them"
    assert len(caught.value.problems) <= 6
    assert all(problem.startswith("not_audio: ") or problem == "..." for problem in caught.value.problems)


def test_segments_beyond_the_end_are_left_out(clips):
    rows = [f"low/{i}.wav,low,0,0.3" for i in range(10)] + [f"high/{i}.wav,high,0.1,0.5" for i in range(10)]
    (clips / "t.csv").write_text("\n".join(["filename,label,onset,offset", *rows, "low/0.wav,low,7,8"]) + "\n")
    listener = Listener()
    material = prepared(clips / "t.csv", listener=listener)
    assert len(material.manifest) == 20
    said = "not used: no_audio: low/0.wav: the part from 7 s on begins after the end, at 0.6 s (low/0.wav)"
    assert said in listener.notices


def test_bad_arrays_are_left_out(tmp_path):
    rows = []
    for i in range(12):
        np.save(tmp_path / f"{i}.npy", sound("low" if i % 2 else "high", i))
        rows.append(f"{i}.npy,{i % 2},{1 - i % 2}")
    np.save(tmp_path / "5.npy", np.zeros((2, 100), np.float32))
    (tmp_path / "labels.csv").write_text("\n".join(["filename,low,high", *rows]) + "\n")
    listener = Listener()
    material = prepared(tmp_path, listener=listener, sample_rate=RATE)
    assert len(material.manifest) == 11
    assert any(text.startswith("not used: bad_array: 5.npy: shape (2, 100)") for text in listener.notices)


def test_flags_and_repairs_are_counted(clips, monkeypatch, tmp_path):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    soundfile.write(clips / "low" / "0.wav", np.zeros(4_000), RATE)
    listener = Listener()
    prepared(clips, listener=listener)
    assert "flag silent: 1 of 20 recordings" in listener.notices
    entry = next((tmp_path / "cache").rglob("*.f32"))
    entry.write_bytes(entry.read_bytes()[:-1])
    listener = Listener()
    prepared(clips, listener=listener)
    assert "1 damaged cache entries were built again" in listener.notices


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ["data.hop_s=0.015"],
            "scoring windows would step by 0.015 s; the least is 0.02: raise data.hop_s or data.clip_s",
        ),
        (
            ["data.clip_s=0.015", "frontend.hop_ms=1", "model.time_stride=2"],
            "scoring windows would step by 0.008 s; the least is 0.01: raise data.hop_s or data.clip_s",
        ),
    ],
)
def test_a_hop_that_no_model_may_have_is_refused_before_training(clips, overrides, text):
    with pytest.raises(ConfigError) as caught:
        prepared(clips, *overrides)
    assert caught.value.problems == (text,)


# --- soft labels


@pytest.fixture
def soft(tmp_path):
    path = tmp_path / "soft.csv"
    path.write_text("filename,high,low\nlow/0.wav,0.25,0.75\nhigh/0.wav,0.5,0.5\n")
    return path


def row_of(material, key: str) -> list[float]:
    (index,) = [i for i, clip in enumerate(material.manifest.clips) if clip.key == key]
    return material.targets[index].tolist()


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, 1.0])
def test_where_a_clip_has_both_labels_they_are_weighed(clips, soft, weight):
    material = prepared(clips, f"teacher.soft_weight={weight}", f"teacher.labels={soft}")
    assert material.manifest.labels == ("high", "low")
    assert row_of(material, "low/0.wav") == pytest.approx([0.25 * weight, 1 - weight + 0.75 * weight])
    assert row_of(material, "high/0.wav") == pytest.approx([1 - 0.5 * weight, 0.5 * weight])
    assert row_of(material, "low/1.wav") == [0, 1]  # hard labels alone


def test_the_temperature_of_soft_labels_is_that_of_the_recipe(clips, soft):
    assert prepared(clips, f"teacher.labels={soft}", "teacher.temperature=2").target.temperature == 2


# --- balance


def test_balance(clips):
    for i in range(2, 10):
        (clips / "low" / f"{i}.wav").unlink()
    indices = np.arange(12)
    plain = training_set(prepared(clips), indices)
    assert (plain.weights.tolist(), plain.draws) == ([1] * 12, None)
    drawn = training_set(prepared(clips, "data.balance=sampler"), indices)
    assert drawn.weights.tolist() == [1] * 12
    np.testing.assert_allclose(drawn.draws, sampler_weights(drawn.targets))
    material = prepared(clips, "data.balance=groups")
    grouped = training_set(material, indices)
    names = [f"{material.manifest.groups()[i]} " for i in indices]
    np.testing.assert_allclose(grouped.draws, group_weights(grouped.targets, names))
    weighed = training_set(prepared(clips, "data.balance=loss"), indices)
    assert weighed.draws is None
    assert weighed.weights.mean() == pytest.approx(1)
    by_class = class_weights(weighed.targets)
    assert weighed.weights[-1] / weighed.weights[0] == pytest.approx(by_class[1] / by_class[0])
    assert weighed.weights[-1] > weighed.weights[0]  # the rare class counts more


def test_a_training_set_is_what_was_chosen(clips):
    material = prepared(clips)
    chosen = training_set(material, np.array([3, 15]))
    assert [clip.key for clip in chosen.clips] == [material.manifest.clips[i].key for i in (3, 15)]
    assert np.array_equal(chosen.targets, material.targets[[3, 15]])


def test_one_class_alone_cannot_be_learnt(clips):
    manifest = read_training_data(clips, tiny())
    only = replace(manifest.select([i for i, c in enumerate(manifest.clips) if c.label == ("low",)]), labels=("low",))
    with pytest.raises(DataError, match="the only class is 'low'"):
        prepare(only, tiny(), Listener())


# --- sent to another machine


def test_what_is_sent_settles_in_with_the_machines_own_cache(clips, tmp_path, monkeypatch):
    material = pickle.loads(pickle.dumps(prepared(clips)))
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "there"))
    second = rebuild_cache(material, Group(rank=3, size=4, local_rank=1, local_size=2))
    assert len(second.reader.cache.missing()) == 20  # the first process of a machine fills the cache for all
    first = rebuild_cache(material, Group(rank=2, size=4, local_rank=0, local_size=2))
    assert first.reader.cache.missing() == second.reader.cache.missing() == []
    for clip in material.manifest.clips:
        assert np.array_equal(second.reader.read(clip), material.reader.read(clip))


def test_data_that_another_machine_does_not_see_is_refused(clips, tmp_path, monkeypatch):
    material = prepared(clips)
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "there"))
    (clips / "low" / "3.wav").unlink()
    with pytest.raises(DataError, match=r"^1 files can be read by the first process but not on this machine") as caught:
        rebuild_cache(material, Group(rank=1, size=2, local_rank=0, local_size=1))
    assert caught.value.problems == (f"{clips / 'low' / '3.wav'}: no such file",)
