# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Clip, Manifest


def make(*clips, labels=("cat", "dog")):
    return Manifest(Path("set"), "csv", "single", labels, clips)


DOG = Clip("a.wav", "/x/a.wav", ("dog",), fold="10", group="g", size_bytes=7)
CAT = Clip("b.wav", "/x/b.wav", ("cat",), fold="9", size_bytes=8)
NONE = Clip("c.wav", "/x/c.wav", negative=True, size_bytes=9)


def test_counts_folds_and_groups():
    manifest = make(DOG, CAT, NONE)
    assert (len(manifest), manifest.negatives, manifest.folds) == (3, 1, ("9", "10"))
    assert manifest.groups() == ["group g", "file b.wav", "file c.wav"]
    np.testing.assert_array_equal(manifest.targets(), [[0, 1], [1, 0], [0, 0]])
    assert manifest.targets().dtype == np.float32


def test_soft_labels_replace_hard_ones_only_where_there_are_no_hard_ones():
    values = np.array([0.25, 0.75], np.float32)
    manifest = make(replace(DOG, targets=values, kind="soft"), replace(CAT, targets=values, kind="both"), NONE)
    np.testing.assert_array_equal(manifest.targets(), [[0.25, 0.75], [1, 0], [0, 0]])
    np.testing.assert_array_equal(manifest.hard_targets(), [[0, 1], [1, 0], [0, 0]])
    values, present = manifest.soft_targets()
    np.testing.assert_array_equal(values, [[0.25, 0.75], [0.25, 0.75], [0, 0]])
    assert present.tolist() == [True, True, False]


def test_selection_keeps_labels():
    part = make(DOG, CAT, NONE).select(np.array([2, 0]))
    assert [c.key for c in part.clips] == ["c.wav", "a.wav"]
    assert part.labels == ("cat", "dog")


def test_the_hash_ignores_order_and_place():
    assert make(DOG, CAT).data_hash == make(CAT, replace(DOG, path="/elsewhere/a.wav")).data_hash
    assert len(make(DOG).data_hash) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"key": "z.wav"},
        {"label": ("cat",)},
        {"label": (), "negative": True},
        {"fold": "1"},
        {"split": "dev"},
        {"group": None},
        {"onset": 1.0},
        {"offset": 2.0},
        {"size_bytes": 8},
        {"targets": np.array([0, 1], np.float32)},
    ],
)
def test_the_hash_sees_every_change(change):
    assert make(replace(DOG, **change), CAT).data_hash != make(DOG, CAT).data_hash


def test_the_hash_sees_the_classes():
    assert make(DOG, CAT, labels=("dog", "cat")).data_hash != make(DOG, CAT).data_hash


def test_the_hash_is_equal_for_a_copied_data_set(table, tmp_path, tmp_path_factory):
    table("path,label\na.wav,dog\nb.wav,cat\n")
    copy = tmp_path_factory.mktemp("copy") / "elsewhere"
    shutil.copytree(tmp_path, copy)
    assert read_manifest(tmp_path).data_hash == read_manifest(copy).data_hash


def test_what_is_an_array():
    assert Clip("a.NPY", "/a.NPY").is_array
    assert not DOG.is_array
