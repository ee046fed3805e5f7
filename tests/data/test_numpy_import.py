# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from auricle.data.clip_audio import read_clip
from auricle.data.formats.registry import read_manifest
from auricle.data.numpy_import import import_dataset
from auricle.data.soft_labels import attach_soft_labels, read_soft_labels
from auricle.errors import DataError, RunError


def logmel(samples, sample_rate):
    return np.stack([samples[:10], samples[:10] * sample_rate])


def test_waveforms_come_back_as_they_were(table, tmp_path):
    source = read_manifest(table("path,label,fold,group\nx/a.wav,dog,1,g\nx/b.wav,cat,2,h\nx/c.wav,other,2,h\n"))
    report = import_dataset(source, tmp_path / "out", sample_rate=16_000)
    assert report.to_dict() == {"path": str(tmp_path / "out"), "clips": 3, "failures": []}
    result = read_manifest(tmp_path / "out")
    assert (result.format, result.task, result.labels, result.negatives) == ("numpy", "single", ("cat", "dog"), 1)
    np.testing.assert_array_equal(result.targets(), source.targets())
    assert [(c.key, c.fold, c.group) for c in result.clips] == [
        ("x/a.npy", "1", "g"), ("x/b.npy", "2", "h"), ("x/c.npy", "2", "h"),
    ]  # fmt: skip
    for before, after in zip(source.clips, result.clips, strict=True):
        wanted = read_clip(before, sample_rate=16_000).samples
        np.testing.assert_array_equal(read_clip(after, result.arrays).samples, wanted)
    assert (result.flags, result.notes) == ((), ())


def test_tasks_and_soft_values_survive(table, tmp_path, write):
    path = table("path,label\na.wav,dog\nb.wav,cat\n")
    assert read_manifest(path, task="multi").task == "multi"
    import_dataset(read_manifest(path, task="multi"), tmp_path / "multi")
    assert read_manifest(tmp_path / "multi").task == "multi"
    soft = read_soft_labels(write(tmp_path / "s.csv", "filename,dog,cat\na.wav,0.123457,0.876543\nb.wav,0.4,0.6\n"))
    manifest = attach_soft_labels(read_manifest(path), soft)
    manifest = replace(manifest, clips=tuple(replace(c, kind="soft") for c in manifest.clips))
    import_dataset(manifest, tmp_path / "soft")
    np.testing.assert_allclose(read_manifest(tmp_path / "soft").targets(), manifest.targets(), atol=1e-6)


def test_features_are_what_the_function_makes(table, tmp_path):
    source = read_manifest(table("path,label\na.wav,dog\nb.wav,cat\n"))
    frontend = {"n_mels": 2, "hop_ms": 10}
    import_dataset(source, tmp_path / "out", sample_rate=8_000, features=logmel, frontend=frontend)
    description = json.loads((tmp_path / "out" / "features.json").read_text())
    assert description == {
        "kind": "logmel", "sample_rate": 8_000, "frontend": frontend, "labels": ["cat", "dog"], "task": "single",
    }  # fmt: skip
    wanted = logmel(read_clip(source.clips[0]).samples, 8_000)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a.npy"), wanted)
    assert read_manifest(tmp_path / "out", frontend=frontend).arrays.kind == "logmel"


def test_segments_and_equal_stems_get_names_of_their_own(tmp_path, wav, write):
    for name in ("a.wav", "a.flac", "-b;c.wav"):
        wav(tmp_path / name)
    rows = "a.wav,x,0,0.05\na.wav,y,0.05,\na.flac,x,,\na.wav,y,,\n-b;c.wav,x,,\n"
    path = write(tmp_path / "d.csv", "path,label,onset,offset\n" + rows)
    import_dataset(read_manifest(path), tmp_path / "out", sample_rate=8_000)
    keys = [c.key for c in read_manifest(tmp_path / "out").clips]
    assert keys == ["a_0.000-0.050.npy", "a_0.050-end.npy", "a.npy", "a_2.npy", "_b_c.npy"]
    assert len(np.load(tmp_path / "out" / keys[0])) == 400


def test_formulas_are_escaped_and_come_back(tmp_path, wav, write):  # L20
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name)
    path = write(tmp_path / "d.csv", 'path,label,group\na.wav,"=1+1",@g\nb.wav,x,-1\n')
    import_dataset(read_manifest(path), tmp_path / "out")
    assert (tmp_path / "out" / "labels.csv").read_text().splitlines() == [
        "filename,'=1+1,x,group", "a.npy,1,0,'@g", "b.npy,0,1,'-1",
    ]  # fmt: skip
    result = read_manifest(tmp_path / "out")
    assert result.labels == ("=1+1", "x")
    assert [c.group for c in result.clips] == ["@g", "-1"]


def test_bad_files_are_recorded_and_the_others_done(table, write, tmp_path):
    path = table("path,label\na.wav,dog\nb.wav,cat\nc.wav,cat\n")
    write(tmp_path / "b.wav", "no audio here")
    seen = []
    report = import_dataset(read_manifest(path), tmp_path / "out", progress=lambda *counts: seen.append(counts))
    assert report.clips == 2
    assert report.failures["b.wav"].code == "not_audio"
    assert [c.key for c in read_manifest(tmp_path / "out").clips] == ["a.npy", "c.npy"]
    assert seen[-1] == (3, 3)


def test_nothing_readable_stops(table, write, tmp_path):
    path = table("path,label\na.wav,dog\nb.wav,cat\n")
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, "no audio here")
    with pytest.raises(DataError, match=r"no clip of .* could be read\n  - a.wav: "):
        import_dataset(read_manifest(path), tmp_path / "out")
    assert not (tmp_path / "out" / "labels.csv").exists()


def test_a_full_folder_is_refused(table, tmp_path):
    manifest = read_manifest(table("path,label\na.wav,dog\nb.wav,cat\n"))
    with pytest.raises(RunError, match=r"is not empty \(it holds a.wav, b.wav, data.csv\); choose a new folder"):
        import_dataset(manifest, tmp_path)


def test_classes_that_would_be_columns(table, tmp_path):
    manifest = read_manifest(table("path,label\na.wav,fold\nb.wav,cat\n"))
    with pytest.raises(DataError, match=r"classes named 'fold' would be taken for columns of labels.csv; rename them"):
        import_dataset(manifest, tmp_path / "out")


def test_features_need_their_settings_and_a_logmel_shape(table, tmp_path):
    manifest = read_manifest(table("path,label\na.wav,dog\nb.wav,cat\n"))
    with pytest.raises(ValueError, match="features and frontend belong together"):
        import_dataset(manifest, tmp_path / "out", features=logmel)
    with pytest.raises(ValueError, match=r"features made shape \(10,\) of a.wav; expected finite \(mel, frame\)"):
        import_dataset(manifest, tmp_path / "out", features=lambda x, _: x[:10], frontend={})


def test_logmels_are_not_imported_again(tmp_path, write):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.zeros((4, 9), np.float32))
    write(tmp_path / "labels.csv", "filename,x,y\na.npy,1,0\nb.npy,0,1\n")
    write(tmp_path / "features.json", '{"kind": "logmel", "sample_rate": 8000, "frontend": {"n_mels": 4}}')
    with pytest.raises(DataError, match=r"a.npy is a log-mel already; import from the audio"):
        import_dataset(read_manifest(tmp_path), tmp_path / "out")
