# SPDX-License-Identifier: Apache-2.0
"""Audacity and Raven files beside recordings: hand-worked answers, and every problem by its text."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from auricle.data.formats.registry import read_manifest, recognise_format
from auricle.errors import DataError
from auricle.results import Event, Flag

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"


def problems_of(path: Path, **options) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_manifest(path, data_format="labelfiles", **options)
    return caught.value.problems


def test_audacity_labels(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "a.txt", "﻿0.500000\t0.750000\tcat\r\n\\\t100.0\t900.0\r\n0.1\t0.2\tdog\r\n\r\n")
    assert recognise_format(tmp_path) == "labelfiles"
    manifest = read_manifest(tmp_path)
    assert manifest.task == "multi"
    assert manifest.clips[0].events == (Event("dog", 0.1, 0.2, 1.0), Event("cat", 0.5, 0.75, 1.0))


def test_a_raven_table_and_its_two_views(tmp_path, wav, write):
    wav(tmp_path / "n.flac", 1.0)
    rows = (
        "1\tWaveform 1\t1\t0.1\t0.2\t0\t0\twren\n1\tSpectrogram 1\t1\t0.1\t0.2\t0\t0\twren\n"
        "2\tSpectrogram 1\t1\t0.3\t0.4\t0\t0\towl\n"
    )
    write(tmp_path / "n.Table.1.selections.txt", f"{RAVEN}\tAnnotation\n{rows}")
    manifest = read_manifest(tmp_path)
    assert manifest.clips[0].events == (Event("wren", 0.1, 0.2, 1.0), Event("owl", 0.3, 0.4, 1.0))
    assert not [flag for flag in manifest.flags if flag.code == "duplicate_row"]


def test_a_table_whose_times_run_over_several_files(tmp_path, wav, write):
    """As BirdNET writes them: begin times accumulate, the offset in the file stands beside them."""
    wav(tmp_path / "b.wav", 1.0)
    head = "Selection\tBegin Time (s)\tEnd Time (s)\tCommon Name\tFile Offset (s)\tBegin Path\n"
    write(tmp_path / "b.BirdNET.selection.table.txt", head + "1\t100.25\t100.5\tOwl\t0.25\tC:\\x\\b.wav\n")
    assert read_manifest(tmp_path).clips[0].events == (Event("Owl", 0.25, 0.5, 1.0),)


def test_empty_files_absent_files_and_parts(tmp_path, wav, write):
    for name in ("train/a.wav", "val/b.wav", "val/c.wav"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "train" / "a.txt", "0\t0.5\tdog\n")
    write(tmp_path / "val" / "b.txt", "")
    manifest = read_manifest(tmp_path)
    assert [(c.key, c.split, c.events, c.negative) for c in manifest.clips] == [
        ("train/a.wav", "train", (Event("dog", 0.0, 0.5, 1.0),), False),
        ("val/b.wav", "dev", (), True),
    ]
    assert manifest.flags == (Flag("unlisted_file", {"count": 1, "first": "val/c.wav"}),)


def test_every_problem_at_once(tmp_path, wav, write):
    for name in ("a.wav", "b.wav", "c.wav"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "a.txt", "0.5\t0.4\tturned\n0.1\t0.2\t\n0.1\t0.2\n0,1\t0.2\tdog\n")
    write(tmp_path / "b.selections.txt", f"{RAVEN}\tNotes\n1\tS\t1\t0\t1\t0\t0\tdog\n")
    write(tmp_path / "c.selections.txt", f"{RAVEN}\tLabel\tBegin File\n1\tS\t1\t0\t1\t0\t0\tdog\tz.wav\n2\tS\t1\n")
    write(tmp_path / "c.txt", "0\t1\tdog\n")
    found = problems_of(tmp_path)
    assert found[:4] == (
        "a.txt, line 1: end 0.4 is not after start 0.5; a sound has a length",
        "a.txt, line 4: start '0,1' is no number of seconds; write the decimal point as '.'",
        "a.txt, line 2: no label; name the sound, or 'other' for one that is no class",
        "a.txt, line 3: 2 cells; expected start, end and label, between tabs",
    )
    assert found[4].startswith("b.selections.txt: no column names the sounds; found: 'Selection', 'View'")
    assert found[5:] == ("c.selections.txt: line 3: 3 cells, but the header has 9",)


def test_a_selection_of_another_file(tmp_path, wav, write):
    wav(tmp_path / "c.wav", 1.0)
    write(tmp_path / "c.selections.txt", f"{RAVEN}\tLabel\tBegin File\n1\tS\t1\t0\t1\t0\t0\tdog\tz.wav\n")
    assert problems_of(tmp_path) == (
        "c.selections.txt, line 2: the selection is of 'z.wav'; put each recording's table beside it",
    )


def events_of(root: Path, **options) -> dict[str, list[tuple[str, float, float]]]:
    clips = read_manifest(root, **options).clips
    return {c.key: [(e.label, e.onset, e.offset) for e in c.events or ()] for c in clips}


@pytest.mark.parametrize("last", ["Species", None])
def test_a_table_without_selections_says_that_nothing_is_heard(tmp_path, wav, write, last):
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "a.Table.1.selections.txt", f"{RAVEN}\tSpecies\n1\tS\t1\t0.1\t0.2\t0\t9\towl\n")
    write(tmp_path / "b.Table.1.selections.txt", RAVEN + (f"\t{last}\n" if last else "\n"))
    assert events_of(tmp_path) == {"a.wav": [("owl", 0.1, 0.2)], "b.wav": []}
    assert read_manifest(tmp_path).negatives == 1


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (("x.wav", "x.a.wav", "x.a.b.wav"), ("x.txt", "x.a.txt", "x.a.b.txt")),
        (("1_060000.wav", "1_060000.2.flac", "n.WAV"), ("1_060000.txt", "1_060000.2.txt", "N.txt")),
    ],
)
def test_the_longest_name_that_fits_owns_a_label_file(tmp_path, wav, write, names, texts):
    for i, (name, text) in enumerate(zip(names, texts, strict=True)):
        wav(tmp_path / name, 1.0)
        write(tmp_path / text, f"0.1\t0.2\tsound {i}\n")
    assert events_of(tmp_path) == {name: [(f"sound {i}", 0.1, 0.2)] for i, name in enumerate(names)}


def test_two_recordings_of_one_name_need_a_label_file_that_says_which(tmp_path, wav, write):
    for name in ("a.wav", "a.flac"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "a.txt", "0.1\t0.2\towl\n")
    assert problems_of(tmp_path)[0] == "a.txt fits 2 recordings (a.flac, a.wav): name it a.flac.txt, or so"
    (tmp_path / "a.txt").rename(tmp_path / "a.wav.txt")
    assert events_of(tmp_path) == {"a.wav": [("owl", 0.1, 0.2)]}


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("cp1252", "cp1252"), ("latin-1", "latin-1"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le")],
)
def test_label_files_in_other_encodings_are_read_and_named(tmp_path, wav, write, encoding, said):
    wav(tmp_path / "a.wav", 1.0)
    label = "Rougequeue à front blanc – chant" if encoding == "cp1252" else "Grünspecht"
    write(tmp_path / "a.txt", f"0.1\t0.2\t{label}\n".encode(encoding))
    manifest = read_manifest(tmp_path)
    assert manifest.labels == (label,)
    assert f"a.txt is no UTF-8 and is read as {said}" in manifest.notes


@pytest.mark.parametrize("label", ['"tick" call', 'five "', '"', "it's"])
def test_quotation_marks_are_characters_in_a_table_that_knows_no_quoting(tmp_path, wav, write, label):
    wav(tmp_path / "a.wav", 1.0)
    rows = f"1\tS\t1\t0.1\t0.2\t0\t9\t{label}\n2\tS\t1\t0.3\t0.4\t0\t9\towl\n"
    write(tmp_path / "a.selections.txt", f"{RAVEN}\tSpecies\n{rows}")
    assert events_of(tmp_path) == {"a.wav": [(label, 0.1, 0.2), ("owl", 0.3, 0.4)]}


def test_a_table_that_quotes_its_header_quotes_its_cells(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    head = "\t".join(f'"{name}"' for name in (*RAVEN.split("\t"), "Species"))
    write(tmp_path / "a.selections.txt", f'{head}\n1\t"S"\t1\t0.1\t0.2\t0\t9\t"owl"\n')
    assert events_of(tmp_path) == {"a.wav": [("owl", 0.1, 0.2)]}


def test_labels_without_a_length_are_left_out_and_counted(tmp_path, wav, write):
    for name in ("a.wav", "b.wav", "c.wav"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "a.txt", "0.1\t0.2\towl\n0.500000\t0.500000\tcheck\n")
    write(tmp_path / "b.txt", "0.1\t0.1\towl\n")
    rows = "1\tS\t1\t0.3\t0.4\t0\t9\tfrog\n2\tS\t1\t0.6\t0.6\t0\t9\tpoint\n"
    write(tmp_path / "c.selections.txt", f"{RAVEN}\tSpecies\n{rows}")
    assert events_of(tmp_path) == {"a.wav": [("owl", 0.1, 0.2)], "c.wav": [("frog", 0.3, 0.4)]}
    text = (
        "labels without a length in 3 recordings are left out (first: a.txt, line 2); 1 recordings have no others and"
    )
    assert f"{text} are left out" in read_manifest(tmp_path).notes


@pytest.mark.parametrize("column", ["Call Type", "Vocalisation", "Verhalten"])
def test_a_column_of_ones_own_names_the_sounds(tmp_path, wav, write, column):
    wav(tmp_path / "a.wav", 1.0)
    head = f"{RAVEN}\tDelta Time (s)\tNotes\tOccupancy\t{column}"
    write(tmp_path / "a.selections.txt", f"{head}\n1\tS\t1\t0.1\t0.2\t0\t9\t0.1\tfaint\t0.5\tsong\n")
    assert events_of(tmp_path) == {"a.wav": [("song", 0.1, 0.2)]}
    assert f"the sounds are named in the column {column!r}" in read_manifest(tmp_path).notes
    write(tmp_path / "a.selections.txt", f"{head}\tAge\n1\tS\t1\t0.1\t0.2\t0\t9\t0.1\tx\t0.5\tsong\told\n")
    either = f"--label-column {shlex.quote(column)} or Age"
    text = f"a.selections.txt: several columns may name the sounds; take one of them: {either}"
    assert problems_of(tmp_path) == (text,)
    assert events_of(tmp_path, label_column=column.upper()) == {"a.wav": [("song", 0.1, 0.2)]}
    assert events_of(tmp_path, label_column="Age") == {"a.wav": [("old", 0.1, 0.2)]}
    assert (
        f"no column {column + 's'!r} (did you mean {column!r}?); found: "
        in problems_of(tmp_path, label_column=f"{column}s")[0]
    )
    write(tmp_path / "a.selections.txt", f"{RAVEN}\tScore\n1\tS\t1\t0.1\t0.2\t0\t9\t0.1\n")
    assert "a.selections.txt: no column names the sounds; found: " in problems_of(tmp_path)[0]


def test_a_known_column_of_labels_goes_before_others_which_are_named(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    head = f"{RAVEN}\tSpecies\tAnnotation\tCall Type"
    write(tmp_path / "a.selections.txt", f"{head}\n1\tS\t1\t0.1\t0.2\t0\t9\towl\tnice\thoot\n")
    assert events_of(tmp_path) == {"a.wav": [("nice", 0.1, 0.2)]}
    text = "the sounds are named in the column 'Annotation'; --label-column takes Species or 'Call Type'"
    assert text in read_manifest(tmp_path).notes
    assert events_of(tmp_path, label_column="species") == {"a.wav": [("owl", 0.1, 0.2)]}


def test_a_table_of_times_beside_its_recording_may_name_its_column(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "a.csv", "start,end,Ruf\n0.1,0.2,hoot\n")
    assert events_of(tmp_path, label_column="Ruf") == {"a.wav": [("hoot", 0.1, 0.2)]}


MANY = {
    "Raven, by file": (
        "night.Table.1.selections.txt",
        f"{RAVEN}\tBegin File\tFile Offset (s)\tSpecies\n1\tS\t1\t0.1\t0.2\t0\t9\ta.wav\t0.1\towl\n"
        "2\tS\t1\t1.3\t1.4\t0\t9\tb.wav\t0.3\tfrog\n",
    ),
    "Raven, by path": (
        "tables/all.txt",
        f"{RAVEN}\tBegin Path\tFile Offset (s)\tSpecies\n1\tS\t1\t0.1\t0.2\t0\t9\tD:\\x\\sounds\\a.wav\t0.1\towl\n"
        "2\tS\t1\t1.3\t1.4\t0\t9\tD:\\x\\sounds\\b.wav\t0.3\tfrog\n",
    ),
    "Raven, with a column of one's own": (
        "all.selections.txt",
        f"{RAVEN}\tFilename\tSpecies\n1\tS\t1\t0.1\t0.2\t0\t9\ta\towl\n2\tS\t1\t0.3\t0.4\t0\t9\tb\tfrog\n",
    ),
    "BirdNET": (
        "BirdNET_CombinedTable.csv",
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n0.1,0.2,Strix,owl,0.9,/data/sounds/a.wav\n"
        "0.3,0.4,Rana,frog,0.2,/data/sounds/b.wav\n",
    ),
    "Kaleidoscope": (
        "cluster.csv",
        "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,TOP1MATCH,MANUAL ID\n/x,sounds,a.wav,0,0.1,0.1,c1,owl\n"
        "/x,sounds,b.wav,0,0.3,0.1,c2,frog\n/x,sounds,b.wav,0,0.3,0.1,c2,\n",
    ),
}


@pytest.mark.parametrize("tool", MANY)
def test_one_table_for_many_recordings(tmp_path, wav, write, tool):
    for name in ("a.wav", "b.wav", "c.wav"):
        wav(tmp_path / "sounds" / name, 1.0)
    name, text = MANY[tool]
    table = write(tmp_path / name, text)
    found = {"sounds/a.wav": [("owl", 0.1, 0.2)], "sounds/b.wav": [("frog", 0.3, 0.4)]}
    assert recognise_format(tmp_path) == "labelfiles"
    assert events_of(tmp_path) == found
    assert Flag("unlisted_file", {"count": 1, "first": "sounds/c.wav"}) in read_manifest(tmp_path).flags
    if table.parent == tmp_path:
        assert events_of(table) == found


def test_a_table_of_recordings_that_are_elsewhere(tmp_path, wav, write):
    wav(tmp_path / "c.wav", 1.0)
    name, text = MANY["Raven, by file"]
    write(tmp_path / name, text)
    assert problems_of(tmp_path)[0] == f"{name}: 2 of 2 labels are of recordings that are not here: 'a.wav', 'b.wav'"
    wav(tmp_path / "x" / "a.wav", 1.0)
    assert any("1 of 2 labels are of recordings that are not here: 'b.wav'" in n for n in read_manifest(tmp_path).notes)
    wav(tmp_path / "y" / "a.wav", 1.0)
    assert "'a.wav' fits 2 files (x/a.wav, y/a.wav); keep one, or list its folder" in problems_of(tmp_path)[0]


def test_label_files_in_a_folder_of_their_own(tmp_path, wav, write):
    for name in ("audio/a.wav", "audio/b.WAV"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "labels" / "a.Table.1.selections.txt", f"{RAVEN}\tSpecies\n1\tS\t1\t0.1\t0.2\t0\t9\towl\n")
    write(tmp_path / "labels" / "b.txt", "0.3\t0.4\tfrog\n")
    assert events_of(tmp_path) == {"audio/a.wav": [("owl", 0.1, 0.2)], "audio/b.WAV": [("frog", 0.3, 0.4)]}


LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "birds 2"
        xmin = 0
        xmax = 1
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 0.25
            text = "wren ""A"" 1"
        intervals [3]:
            xmin = 0.25
            xmax = 1
            text = ""
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 1
        points: size = 1
        points [1]:
            number = 0.5
            mark = "here"
"""
SHORT = """File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n2\n"IntervalTier"\n"birds 2"\n0\n1\n3
0\n0.1\n""\n0.1\n0.25\n"wren ""A"" 1"\n0.25\n1\n""\n"TextTier"\n"marks"\n0\n1\n1\n0.5\n"here"\n"""


@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_textgrids(tmp_path, wav, write, text, encoding):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "a.TextGrid", text.encode(encoding))
    assert events_of(tmp_path) == {"a.wav": [('wren "A" 1', 0.1, 0.25)]}
    assert any(
        "the labels of 2 tiers are taken together: 'birds 2', 'marks'" in n for n in read_manifest(tmp_path).notes
    )
    write(tmp_path / "a.TextGrid", (SHORT[:-20]).encode(encoding))
    assert problems_of(tmp_path)[0] == "a.TextGrid: the TextGrid ends or breaks off in a tier"


@pytest.mark.parametrize("text", ["start,end,label\n0.1,0.2,owl\n", "onset;offset;species\n0.1;0.2;owl\n"])
def test_a_table_of_times_beside_each_recording(tmp_path, wav, write, text):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "a.csv", text)
    assert events_of(tmp_path) == {"a.wav": [("owl", 0.1, 0.2)]}


def test_birdnets_confidences_and_blank_rows_say_nothing(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "a.BirdNET.results.txt", "0.1\t0.2\tStrix aluco_Tawny Owl\t0.4321\n\t\t\n \n")
    assert events_of(tmp_path) == {"a.wav": [("Strix aluco_Tawny Owl", 0.1, 0.2)]}


def test_a_text_that_is_no_label_file_is_named(tmp_path, wav, write):
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "a.txt", "0.1\t0.2\towl\n")
    write(tmp_path / "b.txt", "0.1 0.2 owl\n")
    manifest = read_manifest(tmp_path)
    assert "1 files beside recordings are no labels that are known and are not read: b.txt" in manifest.notes
    assert manifest.flags == (Flag("unlisted_file", {"count": 1, "first": "b.wav"}),)


def test_decimal_commas_are_refused_with_their_line(tmp_path, wav, write):
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name, 1.0)
    write(tmp_path / "a.txt", "0,1\t0,2\towl\n")
    write(tmp_path / "b.selections.txt", f"{RAVEN}\tSpecies\n1\tS\t1\t0,1\t0.2\t0\t9\towl\n")
    assert problems_of(tmp_path) == (
        "a.txt, line 1: start '0,1' is no number of seconds; write the decimal point as '.'",
        "a.txt, line 1: end '0,2' is no number of seconds; write the decimal point as '.'",
        "b.selections.txt, line 2: start '0,1' is no number of seconds; write the decimal point as '.'",
    )


def test_other_texts_beside_recordings_are_no_labels(tmp_path, wav, write):
    for name in ("dog/a.wav", "cat/b.wav"):
        wav(tmp_path / name)
    write(tmp_path / "dog" / "a.txt", "a dog barks\n")
    assert recognise_format(tmp_path) == "folders"


def test_a_table_is_no_folder(tmp_path, write):
    assert problems_of(write(tmp_path / "a.txt", "0\t1\tdog\n")) == (
        "expected a folder of recordings with a label file beside each",
    )


@pytest.mark.parametrize("column", ["AUTO ID*", "MANUAL ID"])
def test_kaleidoscopes_table_of_identifications(tmp_path, wav, write, column):
    for name in ("n1/a.wav", "n2/a.wav"):
        wav(tmp_path / name, 1.0)
    head = f"INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,{column},PULSES"
    rows = "D:\\x,n1,a.wav,0,0.1,0.2,MYOLUC,3\nD:\\x,n2,a.wav,0,0.3,0.1,NoID,3\nD:\\x,n2,a.wav,0,0.5,0.1,EPTFUS,3\n"
    write(tmp_path / "id.csv", f"{head}\n{rows}")
    assert events_of(tmp_path) == {"n1/a.wav": [("MYOLUC", 0.1, 0.3)], "n2/a.wav": [("EPTFUS", 0.5, 0.6)]}
    assert f"id.csv: 1 rows have no {column!r} and are left out" in read_manifest(tmp_path).notes


@pytest.mark.parametrize("column", ["AUTO ID*", "MANUAL ID"])
def test_kaleidoscopes_table_of_whole_recordings(tmp_path, wav, write, column):
    for name in ("n1/a.wav", "n2/a.wav", "n2/b.wav"):
        wav(tmp_path / name)
    head = f"OUTDIR,FOLDER,IN FILE,DURATION,DATE,{column}"
    rows = "x,n1,a.wav,0.1,2026-05-01,MYOLUC\nx,n2,a.wav,0.1,2026-05-02,EPTFUS\nx,n2,b.wav,0.1,2026-05-02,NoID\n"
    write(tmp_path / "meta.csv", f"{head}\n{rows}")
    manifest = read_manifest(tmp_path)
    assert manifest.format == "csv"
    assert {c.key: c.label for c in manifest.clips} == {"n1/a.wav": ("MYOLUC",), "n2/a.wav": ("EPTFUS",)}
    assert f"1 rows have no {column!r} and are left out" in manifest.notes


@pytest.mark.parametrize("name", ["Label Track.txt", "labels.txt"])
def test_labels_that_fit_no_recording_by_name_are_named(tmp_path, wav, write, name):
    wav(tmp_path / "night.wav", 1.0)
    write(tmp_path / name, "0.1\t0.2\towl\n")
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)
    text = f"{name} holds labels and fits no recording by its name; call it as its recording, such as night.txt"
    assert text in caught.value.problems
