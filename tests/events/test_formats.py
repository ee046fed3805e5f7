# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from auricle.cells import escape_cell, unescape_cell
from auricle.errors import DataError, UsageError
from auricle.events.formats import EVENT_FORMATS
from auricle.results import DetectResult, Event, Failure, Flag

YARD = DetectResult(
    "yard.wav", 10.0, (Flag("clipped", {"share": 0.25}),), (Event("dog", 0.5, 1.25, 0.9), Event("cat", 2, 3, 0.7))
)
NIGHT = DetectResult("night.wav", 7.5, (), (Event("owl, tawny", 1 / 3, 2.0, 0.123456789),))


def dump(name: str, *results: DetectResult) -> str:
    return "".join(EVENT_FORMATS.get(name).dump(results))


def parse(name: str, text: str) -> list[DetectResult]:
    return EVENT_FORMATS.get(name).parse(io.StringIO(text, newline=""), "x")


def test_csv():
    text = dump("csv", YARD, NIGHT)
    assert text == (
        "path,onset,offset,label,score\n"
        "yard.wav,0.5,1.25,dog,0.9\n"
        "yard.wav,2.0,3.0,cat,0.7\n"
        'night.wav,0.333333,2.0,"owl, tawny",0.123457\n'
    )
    back = parse("csv", text)
    assert (back[0].path, back[0].events) == ("yard.wav", YARD.events)
    assert back[1].events[0].label == "owl, tawny"
    assert dump("csv") == "path,onset,offset,label,score\n"


def test_audacity():
    text = dump("audacity", YARD)
    assert text == "0.500000\t1.250000\tdog\n2.000000\t3.000000\tcat\n"
    (back,) = parse("audacity", text + "\n\\\t100.0\t200.0\n")
    assert [(e.label, e.onset, e.offset, e.score) for e in back.events] == [("dog", 0.5, 1.25, 1), ("cat", 2, 3, 1)]
    assert dump("audacity", DetectResult("a", 1, events=(Event("a\tb\nc", 0, 1, 1),))) == "0.000000\t1.000000\ta b c\n"
    with pytest.raises(UsageError, match=r"for one recording, got 'yard.wav' and 'night.wav': write a file for each"):
        dump("audacity", YARD, NIGHT)


def test_raven():
    text = dump("raven", YARD, NIGHT)
    lines = text.splitlines()
    assert lines[0].split("\t")[:7] == [
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
    ]
    # yard.wav lasts 5 s: Raven opens both as one sequence
    before = YARD.duration
    times = f"{before + 1 / 3:.6f}\t{before + 2:.6f}\t0\t8000"
    assert lines[3] == f"3\tSpectrogram 1\t1\t{times}\tnight.wav\t0.333333\tnight.wav\towl, tawny\t0.123457"
    assert [(e.onset, e.offset) for e in parse("raven", text)[1].events] == [(0.333333, 2.0)]
    assert [(r.path, len(r.events)) for r in parse("raven", text)] == [("yard.wav", 2), ("night.wav", 1)]
    without = "\n".join("\t".join(line.split("\t")[:-1]) for line in lines)
    assert [e.score for r in parse("raven", without) for e in r.events] == [1, 1, 1]


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_raven_selections_are_as_high_as_the_recording(tmp_path, rate):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(rate), rate)
    result = DetectResult(str(path), 1.0, events=(Event('"tick" call', 0.25, 0.5, 0.5),))
    cells = dump("raven", result).splitlines()[1].split("\t")
    assert (float(cells[5]), float(cells[6])) == (0, rate / 2)
    assert cells[10] == '"tick" call'  # Raven knows no quoting
    assert parse("raven", dump("raven", result))[0].events == result.events


@pytest.mark.parametrize("cell", ["x", "-1", "inf"])
def test_a_file_offset_that_is_none(cell):
    text = "Begin Time (s)\tEnd Time (s)\tLabel\tBegin Path\tFile Offset (s)\n" + f"0\t1\ta\tb\t{cell}\n"
    with pytest.raises(DataError, match="line 2: "):
        parse("raven", text)


def test_json_lines_keep_everything():
    failed = DetectResult("ä\n.wav", None, error=Failure("empty_file", "0 bytes"))
    text = dump("json", YARD, failed)
    assert len(text.splitlines()) == 2
    assert parse("json", text + "\n") == [YARD, failed]


@pytest.mark.parametrize("name", ["csv", "raven", "json"])
def test_many_results_are_written_lazily(name):
    taken = []

    def results():
        for i in range(100):
            taken.append(i)
            yield YARD

    lines = EVENT_FORMATS.get(name).dump(results())
    for _ in range(3):
        next(lines)
    assert len(taken) < 5


# --- L20: formulas


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "'=1", "''-x"])
def test_l20_formulas_are_escaped_and_come_back(text):
    assert escape_cell(text) == f"'{text}"
    assert unescape_cell(escape_cell(text)) == text


@given(st.text(alphabet="'=+-@\t\rab", max_size=6))
def test_l20_escaping_loses_nothing(text):
    safe = escape_cell(text)
    assert unescape_cell(safe) == text
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_l20_tables_are_safe_in_every_cell():
    evil = DetectResult("=cmd|' /C calc'!A0", 1.0, events=(Event("@SUM(1)", 0, 1, 0.5),))
    for name, delimiter in (("csv", ","), ("raven", "\t")):
        text = dump(name, evil)
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
        (back,) = parse(name, text)
        assert (back.path, back.events) == (evil.path, evil.events)


@given(path=st.text(max_size=20).filter(lambda t: "\0" not in t), label=st.text(min_size=1, max_size=20))
def test_csv_keeps_any_text(path, label):
    result = DetectResult(path, 1.0, events=(Event(label.replace("\0", ""), 0.5, 1.0, 0.25),))
    (back,) = parse("csv", dump("csv", result))
    assert (back.path, back.events) == (result.path, result.events)


# --- what cannot be read


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("csv", "path,onset,offset,score\n", "no column 'label'; found path, onset, offset, score"),
        ("csv", "", "no column 'path'; found nothing"),
        ("csv", "path,onset,offset,label,score\na,0,1,x\n", "line 2: 4 cells under 5 columns"),
        ("csv", "path,onset,offset,label,score\na,0,one,x,1\n", "line 2: could not convert string to float: 'one'"),
        ("csv", "path,onset,offset,label,score\na,2,1,x,1\n", "line 2: need 0 <= onset <= offset and a score in"),
        ("csv", "path,onset,offset,label,score\na,0,nan,x,1\n", "line 2: need 0 <= onset <= offset"),
        ("csv", "path,onset,offset,label,score\na,0,1,x,7\n", "a score in [0, 1], got 0, 1, 7"),
        ("csv", 'path,onset,offset,label,score\n"a,0,1,x,1\n', "line 2: unexpected end of data"),
        ("audacity", "0.5\tdog\n", "line 1: expected start, end, label; got ['0.5', 'dog']"),
        ("audacity", "a\t1\tdog\n", "line 1: could not convert string to float: 'a'"),
        ("json", "{}\n", "line 1: not a result of auricle detect ('flags')"),
        ("json", "[1]\n", "line 1: not a result of auricle detect"),
        ("json", '{"flags": 1, "events": [], "error": null, "duration": 1}', "flags and events must be lists"),
        ("json", "\n{oops\n", "line 2: not a result of auricle detect"),
        ("raven", "Selection\tBegin Time (s)\n", "no column 'End Time (s)'; found Selection, Begin Time (s)"),
    ],
)
def test_mistakes_are_named_with_their_line(name, text, problem):
    with pytest.raises(DataError) as caught:
        parse(name, text)
    assert caught.value.summary == "x cannot be read"
    assert problem in caught.value.message
