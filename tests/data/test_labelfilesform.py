# SPDX-License-Identifier: Apache-2.0
"""Audacity and Raven files beside recordings: hand-worked answers, and every problem by its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from auricle.data.formats.registry import read_manifest, recognise_form
from auricle.errors import DataError
from auricle.results import Event, Flag

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_manifest(path, data_format="labelfiles")
    return caught.value.problems


def test_audacity_labels(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "a.txt", "﻿0.500000\t0.750000\tcat\r\n\\\t100.0\t900.0\r\n0.1\t0.2\tdog\r\n\r\n")
    assert recognise_form(tmp_path) == "labelfiles"
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
    write(tmp_path / "a.txt", "0.5\t0.5\tpoint\n0.1\t0.2\t\n0.1\t0.2\n0,1\t0.2\tdog\n")
    write(tmp_path / "b.selections.txt", f"{RAVEN}\tNotes\n1\tS\t1\t0\t1\t0\t0\tdog\n")
    write(tmp_path / "c.selections.txt", f"{RAVEN}\tLabel\tBegin File\n1\tS\t1\t0\t1\t0\t0\tdog\tz.wav\n2\tS\t1\n")
    write(tmp_path / "c.txt", "0\t1\tdog\n")
    found = problems_of(tmp_path)
    assert found[:4] == (
        "a.txt, line 1: end 0.5 is not after start 0.5; a sound has a length",
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


def test_other_texts_beside_recordings_are_no_labels(tmp_path, wav, write):
    for name in ("dog/a.wav", "cat/b.wav"):
        wav(tmp_path / name)
    write(tmp_path / "dog" / "a.txt", "a dog barks\n")
    assert recognise_form(tmp_path) == "folders"


def test_a_table_is_no_folder(tmp_path, write):
    assert problems_of(write(tmp_path / "a.txt", "0\t1\tdog\n")) == (
        "expected a folder of recordings with a label file beside each",
    )
