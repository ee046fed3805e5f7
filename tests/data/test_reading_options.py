# SPDX-License-Identifier: Apache-2.0
"""How a data set is read is said once, in the request: every command that reads one has the same options."""

from __future__ import annotations

import pytest

from auricle.data.formats.registry import read_manifest, read_source
from auricle.errors import DataError, UsageError
from auricle.recipe import model_requests, requests
from auricle.recipe.requests import DataSource, FormatOptions

READERS = [
    *(requests.TrainRequest, requests.CrossvalRequest, requests.SweepRequest, requests.TeachRequest),
    *(requests.BenchRequest, model_requests.EvaluateRequest, model_requests.TuneRequest, model_requests.ReportRequest),
    model_requests.Int8Request,
]


@pytest.mark.parametrize("kind", READERS)
def test_whatever_reads_a_data_set_can_be_told_how(kind):
    assert issubclass(kind, FormatOptions)


def test_a_request_hands_on_how_its_data_is_read():
    asked = requests.DataOptions(
        "x", encoding="cp1252", label_column="ruf", sample_rate=8_000, data_format="csv", follow_links=True
    )
    assert asked.source.reading() == {
        "data_format": "csv", "sample_rate": 8_000, "encoding": "cp1252", "label_column": "ruf",
        "follow_links": True,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_the_encoding_and_the_column_that_were_named(tmp_path, wav, encoding):
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name)
    (tmp_path / "t.csv").write_text("path,label,Ruf\na.wav,dog,W\u00fcff\nb.wav,cat,Miau\n", encoding=encoding)
    with pytest.raises(DataError, match="is not UTF-8"):
        read_manifest(tmp_path / "t.csv")
    source = DataSource(tmp_path / "t.csv", encoding=encoding, label_column="ruf")
    manifest = read_source(source)
    assert manifest.labels == ("Miau", "W\u00fcff")
    text = "classes are taken from the column 'Ruf' (also there: 'label'; --label-column takes another)"
    assert text in manifest.notes


def test_a_column_that_is_not_there(table):
    with pytest.raises(DataError) as caught:
        read_manifest(table("path,label,Ruf\na.wav,dog,x\nb.wav,cat,y\n"), label_column="Ruff")
    assert caught.value.problems == ("no column 'Ruff' (did you mean 'Ruf'?); found: 'path', 'label', 'Ruf'",)


def test_a_table_without_a_known_column_of_labels(table, tmp_path):
    table("path,Ruf\na.wav,x\nb.wav,y\n")
    assert read_manifest(tmp_path, label_column="Ruf").labels == ("x", "y")


def test_events_in_a_column_that_was_named(table):
    path = table("filename,onset,offset,Ruf\na.wav,0.01,0.02,x\nb.wav,0.01,0.02,y\n")
    manifest = read_manifest(path, data_format="desed", label_column="Ruf")
    assert [[e.label for e in c.events or ()] for c in manifest.clips] == [["x"], ["y"]]


@pytest.mark.parametrize("form", ["folders", "auto"])
def test_a_format_without_columns_refuses_one(tmp_path, wav, form):
    for name in ("dog/a.wav", "cat/a.wav"):
        wav(tmp_path / name)
    with pytest.raises(
        UsageError,
        match=r"read as the format folders, which has no column of labels.*: .*whombat, csv, desed",
    ):
        read_manifest(tmp_path, data_format=form, label_column="Ruf")
