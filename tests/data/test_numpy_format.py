# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest

from auricle.data.formats.registry import read_manifest
from auricle.errors import DataError
from auricle.results import Flag

WAVEFORM = {"kind": "waveform", "sample_rate": 16_000}


@pytest.fixture
def arrays(tmp_path, write):
    """Write arrays, a table and perhaps ``features.json``: ``arrays(text, features) -> folder``."""

    def make(text, features=WAVEFORM, names=None):
        listed = [row.split(",")[0] for row in text.strip().splitlines()[1:]] if names is None else names
        for name in listed:
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, np.full(8, 0.1, np.float32))
        write(tmp_path / "labels.csv", text)
        if features is not None:
            write(tmp_path / "features.json", json.dumps(features))
        return tmp_path

    return make


def problems_of(path, **options):
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    return caught.value.problems


def test_soft_distributions(arrays):
    manifest = read_manifest(arrays("filename,dog,cat\na.npy,0.75,0.25\nb.npy,0,1\nc.npy,0,0\n"))
    assert (manifest.format, manifest.task, manifest.labels, manifest.negatives) == (
        "numpy",
        "single",
        ("cat", "dog"),
        1,
    )
    assert [(c.label, c.kind) for c in manifest.clips] == [(("dog",), "soft"), (("cat",), "hard"), ((), "hard")]
    np.testing.assert_allclose(manifest.targets(), [[0.25, 0.75], [1, 0], [0, 0]])
    np.testing.assert_array_equal(manifest.soft_targets()[1], [True, False, False])
    assert (manifest.arrays.kind, manifest.arrays.sample_rate) == ("waveform", 16_000)


def test_soft_scores_of_many_classes(arrays):
    manifest = read_manifest(arrays("filename,dog,cat\na.npy,0.9,0.5\nb.npy,0.1,0.2\n"))
    assert manifest.task == "multi"
    assert [(c.label, c.negative) for c in manifest.clips] == [(("cat", "dog"), False), ((), False)]
    np.testing.assert_allclose(manifest.targets(), [[0.5, 0.9], [0.2, 0.1]])


def test_mass_of_no_class_makes_a_negative(arrays):
    manifest = read_manifest(arrays("filename,dog,other\na.npy,0.3,0.7\nb.npy,0.8,0.2\n"))
    assert [(c.label, c.negative) for c in manifest.clips] == [((), True), (("dog",), False)]
    np.testing.assert_allclose(manifest.targets(), [[0.3], [0.8]])


def test_folds_splits_and_groups_go_along(arrays):
    manifest = read_manifest(arrays("filename,dog,cat,fold,split,group\na.npy,1,0,2,valid,g\nb.npy,0,1,1,train,h\n"))
    assert [(c.fold, c.split, c.group) for c in manifest.clips] == [("2", "dev", "g"), ("1", "train", "h")]


def test_a_class_that_dominates_no_clip_stays(arrays):
    manifest = read_manifest(arrays("filename,dog,cat,bird\na.npy,0.7,0.2,0.1\nb.npy,0.2,0.7,0.1\n"))
    assert manifest.labels == ("bird", "cat", "dog")


def test_files_are_found_under_the_names_of_their_audio(arrays):
    manifest = read_manifest(
        arrays("filename,dog,cat\na.wav,1,0\nb,0,1\nd.1,0,1\n", names=["a.npy", "b.npy", "d.1.npy"])
    )
    assert [c.key for c in manifest.clips] == ["a.npy", "b.npy", "d.1.npy"]


def test_the_task_of_features_json_counts(arrays):
    features = {**WAVEFORM, "task": "multi", "labels": ["dog", "cat"]}
    assert read_manifest(arrays("filename,dog,cat\na.npy,1,0\nb.npy,0,1\n", features)).task == "multi"


def test_classes_must_agree_with_features_json_by_name(arrays):  # L16
    path = arrays("filename,dgo,cat\na.npy,1,0\n", {**WAVEFORM, "labels": ["cat", "dog"]})
    assert problems_of(path) == (
        "column 'dgo' is no class of features.json (did you mean 'dog'?)",
        "class 'dog' of features.json has no column (did you mean 'dgo'?)",
    )


def test_a_models_classes_fix_the_order_and_refuse_others(arrays):
    path = arrays("filename,dog,cat\na.npy,1,0\nb.npy,0,1\n")
    np.testing.assert_array_equal(read_manifest(path, labels=["dog", "bird", "cat"]).targets(), [[1, 0, 0], [0, 0, 1]])
    assert problems_of(path, labels=["dogs", "cat"]) == (
        "column 'dog' is no class of the model (did you mean 'dogs'?)",
    )


def test_the_rate_must_be_said(arrays):
    path = arrays("filename,dog,cat\na.npy,1,0\nb.npy,0,1\n", None)
    assert problems_of(path)[0].startswith("no features.json says what the arrays hold")
    assert read_manifest(path, sample_rate=8_000).arrays.sample_rate == 8_000


def test_torch_files_are_refused_with_the_line_that_converts_them(arrays, write):
    path = arrays("filename,dog,cat\na.pt,1,0\nb.npy,0,1\n", names=["b.npy"])
    write(path / "a.pt", b"PK\x03\x04 never opened")
    (problem,) = problems_of(path)
    assert problem.startswith("1 files are there as .pt or .pth, pickles that could run code; convert each: python -c")
    assert problem.endswith('weights_only=True).numpy())" IN.pt OUT.npy')


def test_a_torch_file_beside_its_table_alone_is_recognised(tmp_path, write):
    write(tmp_path / "a.pth", b"PK\x03\x04")
    write(tmp_path / "labels.csv", "filename,dog\na.pth,1\n")
    with pytest.raises(DataError, match="pickles that could run code"):
        read_manifest(tmp_path, sample_rate=8_000)


def test_unlisted_arrays_are_flagged(arrays):
    path = arrays("filename,dog,cat\na.npy,1,0\nb.npy,0,1\n")
    np.save(path / "extra.npy", np.zeros(3, np.float32))
    assert read_manifest(path).flags == (Flag("unlisted_file", {"count": 1, "first": "extra.npy"}),)


def test_the_table_itself_can_be_named(arrays):
    path = arrays("filename,dog,cat\na.npy,1,0\nb.npy,0,1\n")
    manifest = read_manifest(path / "labels.csv")
    assert (manifest.format, manifest.name) == ("numpy", "labels")


def test_a_decimal_comma_is_found_in_the_right_form(arrays):  # L13
    path = arrays('filename,dog,cat\na.npy,"0,5","0,5"\n')
    assert problems_of(path)[0] == "line 2: 'dog' = '0,5' is no number; write the decimal point as '.'"


def test_no_table_or_two(tmp_path, arrays, write):
    with pytest.raises(DataError, match="holds no table of soft labels"):
        read_manifest(tmp_path, data_format="numpy")
    path = arrays("filename,dog,cat\na.npy,1,0\n")
    write(path / "more.csv", "filename,dog\na.npy,1\n")
    assert problems_of(path) == ("labels.csv, more.csv: name the one with the soft labels",)
