# SPDX-License-Identifier: Apache-2.0
"""Selection tables as Raven writes and reads them: one recording, a sequence of them, views, channels, parts."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from auricle.errors import DataError
from auricle.events.raven import dump_raven, parse_raven
from auricle.results import DetectResult, Event, Failure

#: As Raven Pro 1.6 saves a table of two files with both views shown, an annotation column, and a measurement.
OF_RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File\t"
    "File Offset (s)\tBegin Path\tPeak Freq (Hz)\tAnnotation\n"
    "1\tWaveform 1\t1\t1.500000000\t2.000000000\t0.0\t12000.0\ta.wav\t1.5000\tD:\\rec\\a.wav\t\tBRCR\n"
    "1\tSpectrogram 1\t1\t1.500000000\t2.000000000\t3100.0\t8000.0\ta.wav\t1.5000\tD:\\rec\\a.wav\t4218.8\tBRCR\n"
    "2\tSpectrogram 1\t1\t61.250000000\t63.000000000\t500.0\t900.0\tb.wav\t1.2500\tD:\\rec\\b.wav\t700.0\tGHOW\n"
)


def table(*results: DetectResult) -> list[dict[str, str]]:
    """Read a table by the published rules: tabs, a header, no quoting."""
    head, *rows = [line.split("\t") for line in "".join(dump_raven(results)).splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def recording(path, seconds: float, rate: int = 16_000):
    soundfile.write(path, np.zeros(round(seconds * rate), np.int16), rate)
    return str(path)


def test_a_sequence_of_files_by_hand(tmp_path):
    first, second = recording(tmp_path / "a.wav", 60), recording(tmp_path / "b.wav", 30, 48_000)
    rows = table(
        DetectResult(first, 60.0, events=(Event("owl", 1.5, 2.0, 0.9),)),
        DetectResult("broken.wav", None, error=Failure("corrupt", "x")),
        DetectResult(second, 30.0, events=(Event("owl", 1.25, 3.0, 0.5),)),
    )
    assert [(row["Selection"], row["View"], row["Channel"]) for row in rows] == [
        ("1", "Spectrogram 1", "1"),
        ("2", "Spectrogram 1", "1"),
    ]
    assert [(row["Begin Time (s)"], row["End Time (s)"]) for row in rows] == [
        ("1.500000", "2.000000"),
        ("61.250000", "63.000000"),
    ]
    assert [(row["Begin File"], row["File Offset (s)"], row["Begin Path"]) for row in rows] == [
        ("a.wav", "1.500000", first),
        ("b.wav", "1.250000", second),
    ]
    assert [(row["Low Freq (Hz)"], row["High Freq (Hz)"]) for row in rows] == [("0", "8000"), ("0", "24000")]
    back = parse_raven(io.StringIO("".join(dump_raven([DetectResult(second, 30.0, events=(Event("x", 1, 2, 0.5),))]))))
    assert back == [DetectResult(second, None, events=(Event("x", 1.0, 2.0, 0.5),))]


def test_channels_and_parts_of_a_recording_share_its_time(tmp_path):
    path, other = recording(tmp_path / "a.wav", 10), recording(tmp_path / "b.wav", 10)
    event = Event("owl", 1.0, 2.0, 0.9)
    rows = table(
        DetectResult(path, 10.0, events=(event,), channel=1),
        DetectResult(path, 10.0, events=(event,), channel=2),
        DetectResult(other, 3.0, events=(event,), part=(0.0, 3.0)),
        DetectResult(other, 3.0, events=(Event("owl", 7.0, 8.0, 0.9),), part=(7.0, 10.0)),
        DetectResult("c.wav", 10.0, events=(event,)),
    )
    assert [(row["Channel"], float(row["Begin Time (s)"])) for row in rows] == [
        ("1", 1.0),
        ("2", 1.0),
        ("1", 11.0),
        ("1", 17.0),
        ("1", 21.0),
    ]


def test_what_raven_writes_is_read(tmp_path):
    first, second = parse_raven(io.StringIO(OF_RAVEN))
    assert (first.path, first.events) == ("D:\\rec\\a.wav", (Event("BRCR", 1.5, 2.0, 1.0),)), "two views, one event"
    assert (second.path, second.events) == ("D:\\rec\\b.wav", (Event("GHOW", 1.25, 3.0, 1.0),))


def test_tables_of_one_recording_need_no_path():
    lines = OF_RAVEN.splitlines(keepends=True)[:3]
    short = ["\t".join([*line.split("\t")[:7], line.split("\t")[11]]) for line in lines]
    assert [r.path for r in parse_raven(short, "a.txt")] == ["a.txt"]
    named = ["\t".join([*line.split("\t")[:8], line.split("\t")[11]]) for line in lines]
    assert [r.path for r in parse_raven(named, "a.txt")] == ["a.wav"]


def test_selections_that_are_alike_but_not_the_same_stay():
    head = "Selection\tBegin Time (s)\tEnd Time (s)\tLabel\tConfidence\n"
    (found,) = parse_raven([head, "1\t0\t1\ta\t0.5\n", "2\t0\t1\ta\t0.5\n"])
    assert found.events == (Event("a", 0.0, 1.0, 0.5),) * 2


def test_a_table_without_labels():
    with pytest.raises(DataError, match=r"no column of labels \(Label, label, .*\); found Begin Time \(s\), End Time"):
        parse_raven(["Begin Time (s)\tEnd Time (s)\n"])
