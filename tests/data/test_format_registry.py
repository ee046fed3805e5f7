# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.data.formats.registry import FORMATS, read_manifest, recognise_format
from auricle.errors import DataError, UsageError

#: The general formats, in the order in which they are tried.
GENERAL = ("asvspoof", "csv", "desed", "labelfiles", "numpy", "folders")


def test_every_form_is_tried():
    assert sorted(FORMATS.in_order()) == FORMATS.names()
    assert [name for name in FORMATS.in_order() if name in GENERAL] == list(GENERAL)


def test_the_order_of_recognition(tmp_path, wav, write):
    """One folder that fits every form: each time the reason is taken away, the next form is seen."""
    for name in ("flac/a.flac", "dog/b.wav"):
        wav(tmp_path / name)
    protocol = write(tmp_path / "protocols" / "train.txt", "s a - - bonafide\n")
    table = write(tmp_path / "data.csv", "path,label\ndog/b.wav,dog\n")
    events = write(tmp_path / "events.tsv", "filename\tonset\toffset\tevent_label\ndog/b.wav\t0\t0.1\tdog\n")
    labels = write(tmp_path / "dog" / "b.txt", "0\t0.1\tdog\n")
    soft = write(tmp_path / "soft.csv", "filename,dog\nx.npy,1\n")
    write(tmp_path / "x.npy", "")
    seen = []
    for reason in (protocol, table, events, labels, soft, None):
        seen.append(recognise_format(tmp_path))
        if reason is not None:
            reason.unlink()
        if reason is protocol:
            (tmp_path / "flac").rename(tmp_path / "cat")
    assert seen == ["asvspoof", "csv", "desed", "labelfiles", "numpy", "folders"]


def test_a_form_can_be_forced(tmp_path, wav, write):
    for name in ("dog/a.wav", "cat/b.wav"):
        wav(tmp_path / name)
    write(tmp_path / "data.csv", "path,label\ndog/a.wav,wolf\n")
    assert read_manifest(tmp_path).labels == ("wolf",)
    assert read_manifest(tmp_path, data_format="folders").labels == ("cat", "dog")


def test_a_table_that_lacks_something_is_read_as_csv_so_that_reading_says_what(tmp_path, write):
    write(tmp_path / "pool.csv", "filename,seconds\na.wav,1\n")
    with pytest.raises(DataError, match="no column 'label'"):
        read_manifest(tmp_path)


def test_class_folders_with_a_stray_table_are_still_class_folders(tmp_path, wav, write):
    for name in ("dog/a.wav", "cat/b.wav"):
        wav(tmp_path / name)
    write(tmp_path / "metadata.csv", "file_name,comment\ndog/a.wav,x\n")
    assert recognise_format(tmp_path) == "folders"


@pytest.mark.parametrize("data_format", ["auto", "csv"])
def test_nothing_there(tmp_path, data_format):
    with pytest.raises(DataError, match="no such file or folder"):
        read_manifest(tmp_path / "none", data_format=data_format)


def test_nothing_known(tmp_path):
    with pytest.raises(DataError, match="is no data set that auricle knows"):
        read_manifest(tmp_path)


def test_unknown_names(tmp_path):
    with pytest.raises(UsageError, match=r"unknown data format 'folder' \(did you mean 'folders'\?\); known: asvspoof"):
        read_manifest(tmp_path, data_format="folder")
    with pytest.raises(UsageError, match="unknown task 'double'; known: auto, single, multi"):
        read_manifest(tmp_path, task="double")


def test_every_form_is_the_same_by_a_path_that_goes_up_first(tmp_path, wav, write, monkeypatch):
    """``cd elsewhere; auricle train ../data``: as people write it."""
    for name in ("flac/a.flac", "dog/b.wav"):
        wav(tmp_path / "data" / name)
    (tmp_path / "elsewhere").mkdir()
    root = tmp_path / "data"
    np.save(write(root / "x.npy", ""), np.zeros(100, np.float32))
    reasons = {
        "asvspoof": write(root / "protocols" / "train.txt", "s a - - bonafide\n"),
        "csv": write(root / "data.csv", "path,label\ndog/b.wav,dog\n"),
        "desed": write(root / "events.tsv", "filename\tonset\toffset\tevent_label\ndog/b.wav\t0\t0.1\tdog\n"),
        "labelfiles": write(root / "dog" / "b.txt", "0\t0.1\tdog\n"),
        "numpy": write(root / "soft.csv", "filename,dog\nx.npy,1\n"),
        "folders": None,
    }
    monkeypatch.chdir(tmp_path / "elsewhere")
    seen = []
    for name, reason in reasons.items():
        found = [read_manifest(path, sample_rate=16_000) for path in (root, "../data")]
        direct, upwards = ([(c.key, c.path, c.label, c.split) for c in manifest.clips] for manifest in found)
        assert direct == upwards
        seen.append((found[0].format, name))
        if reason is not None:
            reason.unlink()
        if name == "asvspoof":
            (root / "flac").rename(root / "cat")
    assert seen == [(name, name) for name in GENERAL]
