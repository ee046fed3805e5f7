# SPDX-License-Identifier: Apache-2.0
"""``auricle data fetch`` from the outside; the fetching itself is tested with the data."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

ESC50 = "filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n"


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "master.zip", "w") as file:
        file.writestr("ESC-50-master/meta/esc50.csv", ESC50)
        file.writestr("ESC-50-master/audio/1-1-A-0.wav", b"RIFF")
    return tmp_path / "master.zip"


def test_without_a_name_all_are_listed(auricle):
    done = auricle("data", "fetch")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == [
        "asvspoof2019-la",
        "desed",
        "esc10",
        "esc50",
        "fsdd",
        "speech-commands",
    ]


def test_the_licence_is_shown_and_the_way_to_train_is_said(auricle, archive, tmp_path):
    done = auricle("data", "fetch", "esc10", "--from", archive, "--out", tmp_path / "out")
    assert done.code == 0
    assert "licence  CC BY for the clips of ESC-10" in done.err
    assert "(unverified: recorded in fetched.json, compared with nothing)" in done.out
    assert f"train it with: auricle train {tmp_path}/out/meta/esc10.csv --out models/esc10" in done.out
    again = auricle("data", "fetch", "esc10", "--out", tmp_path / "out", "--format", "json")
    assert json.loads(again.out)["path"] == f"{tmp_path}/out/meta/esc10.csv"


def test_nobody_there_to_accept_the_licence(auricle, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    done = auricle("data", "fetch", "esc10", "--out", tmp_path / "out")
    assert done.code == 2
    assert "licence  CC BY" in done.err
    assert "nobody is there to accept the licence: read it above, then say --yes" in done.err
    assert not (tmp_path / "out").exists()


def test_a_person_who_says_no(auricle, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    done = auricle("data", "fetch", "esc10", "--out", tmp_path / "out")
    assert done.code == 2
    assert "Download? [y/N] auricle: nothing was downloaded" in done.err


def test_an_unknown_data_set(auricle):
    done = auricle("data", "fetch", "esc5", "--yes")
    assert done.code == 2
    assert "unknown data set 'esc5' (did you mean 'esc50'?)" in done.err
