# SPDX-License-Identifier: Apache-2.0
"""Folders of soft labels: written, read back, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from auricle.data.manifest import Clip
from auricle.distill.store import (
    Shard,
    StoreIndex,
    is_store,
    item_key,
    open_store,
    read_shard_facts,
    write_index,
    write_shard,
    write_soft_csv,
)
from auricle.errors import DataError
from auricle.synth.mixtures import MixRules

INDEX = StoreIndex(
    "t", "id", ("a", "b", "c"), 1.0, 1.0, 2, items=5, parts=("1", "2", "2"), mixtures=MixRules(2, clip_s=2.0)
)
FIRST = Shard((2, 0, 1), (2.0, 0.0, 1.0), ("", "corrupt: x", ""), np.arange(9).reshape(3, 3) / 16, np.ones((3, 2)))
SECOND = Shard((2, 2), (2.0, 2.0), ("", ""), np.full((4, 3), 0.5), np.zeros((4, 2)))


@pytest.fixture
def store(tmp_path):
    facts = [write_shard(tmp_path, 0, FIRST), write_shard(tmp_path, 1, SECOND)]
    return write_index(tmp_path, INDEX, ["x.wav", "=y.wav", "z.wav"], facts)


def test_what_was_written_is_read(store):
    assert [(r.key, r.first_window, r.windows, r.error) for r in store.rows] == [
        ("x.wav", 0, 2, ""),
        ("=y.wav", 2, 0, "corrupt: x"),
        ("z.wav", 2, 1, ""),
    ]
    assert store.scores.dtype == np.float16
    np.testing.assert_array_equal(store.scores[:3] * 16, np.arange(9).reshape(3, 3))
    assert store.embeddings.shape == (7, 2)
    assert (store.first_mixture_window, store.windows_a_mixture) == (3, 2)
    again = open_store(store.folder)
    assert again.index.to_dict() == store.index.to_dict()
    assert again.index.mixtures == INDEX.mixtures


def test_one_shard_is_mapped_and_not_loaded(tmp_path):
    index = StoreIndex("t", "id", ("a", "b", "c"), 1.0, 1.0, 0, items=3, parts=("1",))
    store = write_index(tmp_path, index, ["x"], [write_shard(tmp_path, 0, Shard((3,), (3.0,), ("",), np.eye(3), None))])
    assert isinstance(store.scores, np.memmap)
    assert store.embeddings.shape == (3, 0)


def test_a_map_takes_the_highest_of_what_means_a_class(store):
    from dataclasses import replace

    assert store.class_scores(store.scores[:1])[0] == ("a", "b", "c")
    store.index = replace(store.index, map={"low": ("a", "b"), "top": ("c",)})
    labels, values = store.class_scores(store.scores[:3])
    assert labels == ("low", "top")
    assert (values * 16).tolist() == [[1, 2], [4, 5], [7, 8]]


def test_an_unfinished_shard_does_not_count(tmp_path):
    write_shard(tmp_path, 0, FIRST)
    assert read_shard_facts(tmp_path, 0)["windows"] == [2, 0, 1]
    assert read_shard_facts(tmp_path, 1) is None
    (tmp_path / "shards" / "00000.scores.npy").write_bytes(b"half")
    assert read_shard_facts(tmp_path, 0) is None


def test_a_damaged_folder_is_refused(store):
    (store.folder / "shards" / "00001.scores.npy").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        open_store(store.folder)
    assert str(caught.value).splitlines()[1] == (
        "  - 00001.scores.npy: 1 of 4 files differ from index.json; delete them and run teach again with --resume"
    )


def test_an_unfinished_or_newer_folder_is_refused(store, tmp_path):
    assert is_store(store.folder)
    with pytest.raises(
        DataError, match=r"no holds no soft labels\n.*expected index.json and clips.csv; finish `auricle"
    ):
        open_store(tmp_path / "no")
    values = json.loads((store.folder / "index.json").read_text())
    (store.folder / "index.json").write_text(json.dumps({**values, "format": 2}))
    with pytest.raises(DataError, match="its format is 2, this auricle reads 1"):
        open_store(store.folder)


def test_the_table_of_the_seed(tmp_path):
    write_soft_csv(tmp_path / "l.csv", ["a.wav", "b.wav"], ["dog", "cat"], np.array([[0.25, 1], [1 / 3, 0]]))
    assert (tmp_path / "l.csv").read_text() == "filename,dog,cat\na.wav,0.25,1\nb.wav,0.333333,0\n"


def test_segments_of_a_file_have_their_times_in_their_names():
    assert item_key(Clip("a.wav", "/a.wav")) == "a.wav"
    assert item_key(Clip("a.wav", "/a.wav", onset=1.5)) == "a.wav@1.500-end"
    assert item_key(Clip("a.wav", "/a.wav", offset=2.0)) == "a.wav@0.000-2.000"
