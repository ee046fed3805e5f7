# SPDX-License-Identifier: Apache-2.0
"""Tables of other programs: what they hold by their descriptions, and that they come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auricle.errors import DataError
from auricle.events.formats import EVENT_FORMATS
from auricle.results import DetectResult, Event, Origin

BLACKBIRD = "Turdus merula_Eurasian Blackbird"
RESULTS = [
    DetectResult(
        "/data/site1/rec1.wav", 60.0, events=(Event(BLACKBIRD, 0.0, 3.0, 0.8123), Event("Dog", 3.5, 6.0, 1.0))
    ),
    DetectResult("/data/site1/rec, 2.wav", 60.0, events=(Event("Male speech, man speaking", 0.25, 1.0, 0.5),)),
    DetectResult("silent.wav", 60.0),
]
OWL = "0.0,3.0,Strix aluco,Tawny Owl,0.9237,a.wav\r\n"
NEW_YORK = Origin(datetime(2024, 5, 1, tzinfo=UTC), "guano", {}, {"latitude": 40.7128, "longitude": -74.006})


def dump(name, results=RESULTS):
    return "".join(EVENT_FORMATS.get(name).dump(results))


def test_birdnet():
    """Columns and forms of BirdNET-Analyzer 2's CSV: its names are two, and a confidence has four decimals."""
    assert dump("birdnet") == (
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
        "0.0,3.0,Turdus merula,Eurasian Blackbird,0.8123,/data/site1/rec1.wav\n"
        "3.5,6.0,Dog,Dog,1.0000,/data/site1/rec1.wav\n"
        '0.25,1.0,"Male speech, man speaking","Male speech, man speaking",0.5000,"/data/site1/rec, 2.wav"\n'
    )


def test_kaleidoscope():
    """Folder above, folder and file apart; offset and duration; the position where it is known, else -1."""
    assert dump("kaleidoscope", [replace(RESULTS[0], origin=NEW_YORK)]) == (
        "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence,lat,lon,week,overlap,sensitivity\n"
        "/data,site1,rec1.wav,0.0,3.0,Turdus merula,Eurasian Blackbird,0.8123,40.7128,-74.006,-1,-1,-1\n"
        "/data,site1,rec1.wav,3.5,2.5,Dog,Dog,1.0000,40.7128,-74.006,-1,-1,-1\n"
    )  # fmt: skip


def test_rttm():
    """NIST's Rich Transcription: ten fields between spaces."""
    assert dump("rttm") == (
        "SPEAKER rec1 1 0.000 3.000 <NA> <NA> Turdus_merula_Eurasian_Blackbird 0.8123 <NA>\n"
        "SPEAKER rec1 1 3.500 2.500 <NA> <NA> Dog 1.0 <NA>\n"
        "SPEAKER rec,_2 1 0.250 0.750 <NA> <NA> Male_speech,_man_speaking 0.5 <NA>\n"
    )


@pytest.mark.parametrize("name", ["birdnet", "kaleidoscope"])
def test_what_is_written_comes_back(name):
    found = EVENT_FORMATS.get(name).parse(dump(name).splitlines(keepends=True), "x")
    assert [(r.path, r.events) for r in found] == [(r.path, r.events) for r in RESULTS if r.events]


def test_a_table_that_birdnet_analyzer_wrote_is_read():
    lines = ["\ufeffStart (s),End (s),Scientific name,Common name,Confidence,File\r\n", OWL]
    (found,) = EVENT_FORMATS.get("birdnet").parse(lines, "x")
    assert (found.path, found.events) == ("a.wav", (Event("Strix aluco_Tawny Owl", 0.0, 3.0, 0.9237),))


def test_rttm_of_others_is_read():
    lines = [
        ";; a comment", "SPKR-INFO meeting 1 <NA> <NA> <NA> unknown speaker1 <NA> <NA>", "",
        "SPEAKER meeting 1 1.5 2.25 <NA> <NA> speaker1 <NA> <NA>",
    ]  # fmt: skip
    (found,) = EVENT_FORMATS.get("rttm").parse(lines, "x")
    assert (found.path, found.events) == ("meeting", (Event("speaker1", 1.5, 3.75, 1.0),))


def test_no_cell_is_a_formula():
    bad = DetectResult("=1.wav", 1.0, events=(Event("@sum", 0.0, 1.0, 0.5),))
    for name in ("birdnet", "kaleidoscope"):
        assert not [
            cell for line in dump(name, [bad]).splitlines() for cell in line.split(",") if cell.startswith(("=", "@"))
        ]
        (back,) = EVENT_FORMATS.get(name).parse(dump(name, [bad]).splitlines(keepends=True), "x")
        assert (back.path, back.events) == (bad.path, bad.events)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("birdnet", "Start (s),End (s)\n", "no column 'Scientific name'; found Start (s), End (s)"),
        ("birdnet", "Start (s),End (s),Scientific name,Common name,Confidence,File\nx,1,a,b,1,f\n",
         "line 2: could not convert string to float: 'x'"),
        ("kaleidoscope",
         "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence\n,,f,0,-1,a,b,1\n",
         "line 2: need 0 <= onset <= offset and a score in [0, 1], got 0, -1.0, 1"),
        ("rttm", "SPEAKER a 1 0.0\n", "line 1: 4 fields where RTTM has 10"),
        ("rttm", "SPEAKER a 1 zero 1 <NA> <NA> dog 1 <NA>\n", "line 1: could not convert string to float: 'zero'"),
    ],
)  # fmt: skip
def test_a_damaged_table_names_the_place(name, text, problem):
    with pytest.raises(DataError) as caught:
        EVENT_FORMATS.get(name).parse(text.splitlines(keepends=True), "t.csv")
    assert "t.csv cannot be read" in str(caught.value)
    assert problem in str(caught.value)
