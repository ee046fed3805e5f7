# SPDX-License-Identifier: Apache-2.0
"""Scans as Parquet: parts of the same columns, whatever is in them; pandas and DuckDB read them as documented."""

from __future__ import annotations

import json
import sys

import pytest
from helpers import cli_fixtures

from auricle.results import DetectResult, Event, Failure, LabelScore, TagResult
from auricle.runtime.thresholds import Thresholds
from auricle.scanning.parquet import write_parquet
from auricle.scanning.views import detect_view, tag_view

auricle, model, recordings = cli_fixtures.auricle, cli_fixtures.model, cli_fixtures.recordings
LOUD = ("-t", "loud=0.5", "-t", "quiet=1")


@pytest.fixture(scope="module")
def parquet():
    return pytest.importorskip("pyarrow.parquet")


def test_a_scan_is_a_table(parquet, auricle, recordings, model, tmp_path):
    out = tmp_path / "out"
    words = ("detect", recordings, "--model", model, *LOUD, "--format", "parquet", "--time-zone", "UTC", "--out", out)
    (recordings / "a.wav").rename(recordings / "20240501_043000.wav")
    assert auricle(*words).code == 1  # broken.wav
    table = parquet.read_table(out / "events.parquet")
    assert table.to_pylist() == [
        {"path": str(recordings / "20240501_043000.wav"), "onset": 0.5, "offset": 1.0, "label": "loud", "score": 0.75,
         "start": table["start"][0].as_py(), "recorder": None, "latitude": None, "longitude": None, "flags": ""}
    ]  # fmt: skip
    assert str(table.schema.field("start").type) == "timestamp[us, tz=UTC]"
    assert table["start"][0].as_py().isoformat() == "2024-05-01T04:30:00.500000+00:00"
    assert [json.loads(line)["code"] for line in (out / "failures.jsonl").read_text().splitlines()] == ["not_audio"]
    assert auricle(*words, "--overwrite").code == 1
    assert [path.name for path in (out / "events.parquet").iterdir()] == ["part-00000.parquet"]


def test_parts_have_the_same_columns_and_an_empty_scan_has_them_too(parquet, tmp_path):
    results = [DetectResult(f"{i}.wav", 1.0, events=(Event("a", 0.0, float(i), 0.5),) * (i % 3)) for i in range(7)]
    results[1] = DetectResult("1.wav", None, error=Failure("not_found", "no such file"))
    write_parquet(tmp_path / "x.parquet", detect_view(), results, part_rows=2)
    parts = sorted((tmp_path / "x.parquet").iterdir())
    assert [parquet.read_table(part).num_rows for part in parts] == [2, 2, 1]  # 2, 4 and 5 have 2, 1 and 2 events
    assert parquet.read_table(tmp_path / "x.parquet")["offset"].to_pylist() == [2, 2, 4, 5, 5]
    schema = parquet.read_schema(parts[0])
    write_parquet(tmp_path / "x.parquet", detect_view(), [])
    (part,) = (tmp_path / "x.parquet").iterdir()
    assert parquet.read_table(part).num_rows == 0
    assert parquet.read_schema(part) == schema
    tagged = TagResult("a", 2.0, scores=(LabelScore("b", 1.0),))
    write_parquet(tmp_path / "y.parquet", tag_view(None, Thresholds()), [tagged])
    assert parquet.read_table(tmp_path / "y.parquet").to_pylist() == [
        {"path": "a", "duration": 2.0, "label": "b", "score": 1.0, "share": None, "flags": ""}
    ]


def test_ten_thousand_recordings_in_duckdb_and_pandas(parquet, tmp_path, monkeypatch):
    """The commands of docs/tables.md, over a table of 10,000 recordings with one event each."""
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    results = (
        DetectResult(f"{i:05}.wav", 1.0, events=(Event("owl" if i % 4 else "wren", 0.0, 1.0, (i % 100) / 100),))
        for i in range(10_000)
    )
    write_parquet(tmp_path / "events" / "events.parquet", detect_view(), results, part_rows=3_000)
    monkeypatch.chdir(tmp_path)
    found = duckdb.sql(
        "SELECT label, count(*) AS n, max(score) AS best FROM 'events/events.parquet/*.parquet' "
        "GROUP BY label ORDER BY n DESC"
    ).fetchall()
    assert found == [("owl", 7_500, 0.99), ("wren", 2_500, 0.96)]
    table = pandas.read_parquet("events/events.parquet")
    assert (len(table), table.groupby("label").size().to_dict()) == (10_000, {"owl": 7_500, "wren": 2_500})


def test_parquet_wants_a_folder_and_its_library(auricle, recordings, model, tmp_path, monkeypatch):
    done = auricle("detect", recordings, "--model", model, "--format", "parquet")
    assert (done.code, done.err) == (2, "auricle: parquet is written into a folder: give --out DIR too\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = auricle("tag", recordings, "--model", model, "--format", "parquet", "--out", tmp_path / "out")
    assert done.code == 2
    assert 'this needs pyarrow, which is not installed: pip install "auricle[arrow]"' in done.err


def test_events_are_selected_in_order_and_remembered(auricle, recordings, model, tmp_path):
    words = ("detect", recordings / "a.wav", "--model", model, *LOUD, "-f", "json")
    events = json.loads(auricle(*words).out)["events"]
    assert [(e["label"], e["onset"], e["offset"]) for e in events] == [("loud", 0.5, 1.0)]
    assert json.loads(auricle(*words, "--min-duration", 0.6).out)["events"] == []
    assert json.loads(auricle(*words, "--labels", "quiet").out)["events"] == []
    done = auricle(*words, "--labels", "load")
    assert (done.code, done.err) == (2, "auricle: --labels: the model has no label 'load' (did you mean 'loud'?)\n")
    out = tmp_path / "out"
    assert auricle(*words, "--labels", "loud", "--out", out).code == 0
    again = auricle(*words, "--labels", "quiet", "--out", out, "--resume")
    assert (again.code, "events.labels was ['loud'], is ['quiet']" in again.err) == (2, True)


def test_options_of_events_are_for_detect():
    import auricle as package

    with pytest.raises(package.UsageError) as caught:
        package.scan(["x.wav"], command="tag", labels=["loud"])
    assert str(caught.value) == "tag finds no events, of which labels, gaps, durations or a top are: use detect"
