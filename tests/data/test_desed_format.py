# SPDX-License-Identifier: Apache-2.0
"""Strong labels out of tables: hand-worked answers, and every problem by its text (L1 to L21)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auricle.data.check.dataset import check
from auricle.data.formats.registry import read_manifest, recognise_format
from auricle.data.numpy_import import import_dataset
from auricle.errors import DataError
from auricle.results import Event, Flag

HEAD = "filename\tonset\toffset\tevent_label\n"


@pytest.fixture
def scenes(tmp_path, wav, write):
    """Write ``events.tsv`` and files of 1 s: ``scenes(rows) -> folder``."""

    def make(rows: str, files: tuple[str, ...] = ("a.wav", "b.wav"), name: str = "events.tsv") -> Path:
        for file in files:
            wav(tmp_path / "audio" / file, 1.0)
        write(tmp_path / name, HEAD + rows)
        return tmp_path

    return make


def problems_of(path: Path, **reading) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_manifest(path, **reading)
    return caught.value.problems


def test_rows_become_events_of_their_file(scenes):
    folder = scenes("b.wav\t0.5\t0.75\tcat\na.wav\t0.1\t0.4\tdog\nb.wav\t0.25\t0.6\tdog\n")
    manifest = read_manifest(folder)
    assert (manifest.format, manifest.task, manifest.labels, manifest.strong) == ("desed", "multi", ("cat", "dog"), 2)
    b, a = manifest.clips
    assert b.events == (Event("dog", 0.25, 0.6, 1.0), Event("cat", 0.5, 0.75, 1.0))
    assert (a.events, a.label, b.label) == ((Event("dog", 0.1, 0.4, 1.0),), ("dog",), ("cat", "dog"))
    assert (a.onset, a.offset) == (None, None)
    np.testing.assert_array_equal(manifest.hard_targets(), [[1, 1], [0, 1]])
    assert manifest.notes == ("2 clips say when (strong labels), 0 say only what (weak)",)


@pytest.mark.parametrize("row", ["a.wav\t\t\t\n", "a.wav\tNaN\tnan\tNaN\n"])
def test_a_row_without_an_event_says_that_there_is_none(scenes, row):
    a, b = read_manifest(scenes(row + "b.wav\t0\t1\tnan\n")).clips
    assert (a.events, a.negative, a.label) == ((), True, ())
    assert b.label == ("nan",)  # L9: with times it is a class like any other


def test_a_negative_is_no_event(scenes):
    a, b = read_manifest(scenes("a.wav\t0\t1\tbackground\nb.wav\t0\t1\tother\nb.wav\t0\t0.5\tdog\n")).clips
    assert (a.events, a.negative) == ((), True)
    assert (b.events, b.negative) == ((Event("dog", 0.0, 0.5, 1.0),), False)


def test_weak_strong_and_silent_files_in_one_set(scenes, write):
    folder = scenes("a.wav\t0.1\t0.4\tdog\n", ("a.wav", "b.wav", "c.wav", "d.wav"))
    write(folder / "weak.tsv", "filename\tevent_labels\nb.wav\tcat,dog\na.wav\tcat\nd.wav\tother\n")
    write(folder / "durations.tsv", "filename\tduration\na.wav\t1.0\nc.wav\t1.0\n")
    manifest = read_manifest(folder)
    by_key = {clip.key: clip for clip in manifest.clips}
    assert {key: clip.strong for key, clip in by_key.items()} == {
        "a.wav": True, "b.wav": False, "c.wav": True, "d.wav": False,
    }  # fmt: skip
    assert (by_key["b.wav"].label, by_key["b.wav"].events) == (("cat", "dog"), None)
    assert (by_key["c.wav"].events, by_key["c.wav"].duration) == ((), 1.0)
    assert by_key["a.wav"].label == ("dog",)
    assert by_key["d.wav"].negative
    assert "1 files have events and labels without times; the events count" in manifest.notes


def test_the_folders_of_desed(tmp_path, wav, write):
    for place in ("train/weak/w.wav", "validation/v.wav", "eval/public/e.wav"):
        wav(tmp_path / "audio" / place, 1.0)
    write(tmp_path / "metadata" / "train" / "weak.tsv", "filename\tevent_labels\nw.wav\tdog\n")
    write(tmp_path / "metadata" / "validation" / "validation.tsv", HEAD + "v.wav\t0\t0.5\tdog\n")
    write(tmp_path / "metadata" / "validation" / "validation_durations.tsv", "filename\tduration\nv.wav\t1\n")
    write(tmp_path / "metadata" / "eval" / "public.tsv", HEAD + "e.wav\t0\t0.5\tcat\n")
    assert recognise_format(tmp_path) == "desed"
    found = {clip.key: (clip.split, clip.strong, clip.duration) for clip in read_manifest(tmp_path).clips}
    assert found == {"w.wav": ("train", False, None), "v.wav": ("dev", True, 1.0), "e.wav": ("test", True, None)}


def test_facts_of_a_table_beside_it(scenes, write):
    folder = scenes("a.wav\t0.1\t0.4\tdog\nb.wav\t0\t1\tcat\n", ("a.wav", "b.wav", "c.wav"))
    write(
        folder / "facts.csv",
        "filename,split,fold,group,sources\na.wav,val,1,g,x\nb.wav,train,2,h,y\nc.wav,test,3,i,z\n",
    )
    manifest = read_manifest(folder)
    assert [(c.split, c.fold, c.group) for c in manifest.clips] == [("dev", "1", "g"), ("train", "2", "h")]
    assert "1 files with facts have no labels and are left out" in manifest.notes


def test_a_csv_with_event_label_is_strong_and_one_with_label_cuts_segments(tmp_path, wav, write):
    wav(tmp_path / "a.wav", 1.0)
    rows = "a.wav,0.1,0.4,dog\na.wav,0.5,0.75,cat\n"
    events = write(tmp_path / "x.csv", "path,onset,offset,event_label\n" + rows)
    segments = write(tmp_path / "y.csv", "path,onset,offset,label\n" + rows)
    assert [clip.strong for clip in read_manifest(events).clips] == [True]
    as_segments = read_manifest(segments)
    assert [(c.onset, c.offset, c.strong) for c in as_segments.clips] == [(0.1, 0.4, False), (0.5, 0.75, False)]
    assert as_segments.notes == (
        "onset and offset cut segments out of the files; where they say when an event is in a file, call the column "
        "of labels event_label or pass --data-format desed",
    )
    assert read_manifest(segments, data_format="desed").clips[0].events == read_manifest(events).clips[0].events


def test_every_problem_at_once(scenes):
    rows = (
        "a.wav\t0.5\t0.5\tdog\na.wav\t0.6\t0.1\tdog\na.wav\t\t\tdog\na.wav\t0.1\t\tdog\na.wav\t0,5\t1\tdog\n"
        "a.wav\t-1\t1\tdog\na.wav\t0\t1\t\n../../x.wav\t0\t1\tdog\na.wav\t0\tinf\tdog\n"
    )
    place = scenes(rows)
    assert problems_of(place) == (
        "events.tsv, line 2: offset 0.5 is not after onset 0.5",
        "events.tsv, line 3: offset 0.1 is not after onset 0.6",
        "events.tsv, line 4: event 'dog' has no onset and no offset; fill them, or leave it out",
        "events.tsv, line 5: no offset; an event needs both",
        "events.tsv, line 6: onset '0,5' is no number of seconds; write the decimal point as '.'",
        "events.tsv, line 7: onset '-1' must be finite and not negative",
        "events.tsv, line 10: offset 'inf' must be finite and not negative",
        "events.tsv, line 8: no label; name the event, or leave onset and offset empty, too",
        f"events.tsv, line 9: path '../../x.wav' leads outside the data folder {place}; write it relative to the table",
    )


def test_missing_columns_are_named(scenes):
    folder = scenes("a.wav\t0\t1\tdog\n")
    (folder / "events.tsv").write_text("filename\tonset\tevent_label\na.wav\t0\tdog\n")
    assert problems_of(folder) == (
        "events.tsv: no column 'offset' (did you mean 'onset'?); found: 'filename', 'onset', 'event_label'",
    )


def test_events_and_the_declared_end(scenes, write):  # L17
    folder = scenes("a.wav\t0.5\t1.2\tdog\nb.wav\t0.9\t1.005\tdog\n")
    write(folder / "durations.tsv", "filename\tduration\na.wav\t1\nb.wav\t1\n")
    manifest = read_manifest(folder)
    assert [clip.events[0].offset for clip in manifest.clips] == [1.0, 1.0]
    assert manifest.flags == (Flag("clipped_event", {"count": 1, "first": "a.wav"}),)
    write(folder / "durations.tsv", "filename\tduration\na.wav\t0.5\nb.wav\t0\n")
    assert problems_of(folder) == (
        "durations.tsv, line 3: duration '0' must be above 0",
        "events.tsv, line 2: event 'dog' begins at 0.5 s, the file ends at 0.5 s",
        "events.tsv, line 3: event 'dog' begins at 0.9 s, the file ends at 0 s",
    )


def test_repeats_overlaps_and_absent_files_are_flagged(scenes):  # L5, L21
    rows = "a.wav\t0\t0.5\tdog\na.wav\t0\t0.5\tdog\nb.wav\t0\t0.5\tdog\nb.wav\t0.5\t0.7\tdog\nc.wav\t0\t1\tdog\n"
    manifest = read_manifest(scenes(rows, ("a.wav", "b.wav", "d.wav")), max_missing=0.5)
    assert Flag("duplicate_row", {"count": 1, "first": "a.wav"}) in manifest.flags
    assert Flag("overlapping_event", {"count": 1, "first": "b.wav"}) in manifest.flags
    flags = {flag.code: flag.details for flag in manifest.flags}
    assert flags["unlisted_file"] == {"count": 1, "first": "d.wav"}
    assert flags["missing_file"] == {"count": 1, "first": "c.wav"}
    assert [len(clip.events) for clip in manifest.clips] == [1, 2]


def test_weak_rows_that_contradict_each_other_stop(tmp_path, wav, write):  # L6
    wav(tmp_path / "a.wav")
    write(tmp_path / "weak.tsv", "filename\tevent_labels\na.wav\tdog\na.wav\tcat\n")
    assert problems_of(tmp_path) == (
        "weak.tsv, line 2 and weak.tsv, line 3: 'a.wav' stands twice with different labels; keep one row",
    )


def test_unknown_classes_stop_with_the_nearest(scenes):  # L7
    (problem,) = problems_of(scenes("a.wav\t0\t1\tdgo\n"), labels=["dog", "cat"])
    assert problem.startswith("class 'dgo' is unknown (1 clips) (did you mean 'dog'?)")


def test_no_table_of_events(tmp_path, wav, write):
    wav(tmp_path / "a.wav")
    write(tmp_path / "durations.tsv", "filename\tduration\na.wav\t1\n")
    assert problems_of(tmp_path, data_format="desed") == (
        "expected a .tsv or .csv with filename, onset, offset, event_label, or with filename, event_labels",
    )


def test_the_hash_knows_when(scenes):
    one = read_manifest(scenes("a.wav\t0\t0.5\tdog\n")).data_hash
    assert read_manifest(scenes("a.wav\t0\t0.6\tdog\n")).data_hash != one
    assert read_manifest(scenes("a.wav\t0\t0.5\tdog\n")).data_hash == one


def test_check_counts_events_and_looks_at_the_files(scenes):
    report = check(scenes("a.wav\t0.2\t0.7\tdog\na.wav\t0.8\t1.3\tdog\nb.wav\t3\t4\tcat\n"))
    assert report.facts["events"] == {
        "strong_clips": 2,
        "weak_clips": 0,
        "count": 3,
        "per_class": {
            "cat": {"count": 1, "lengths": {"total": 1.0, "min": 1.0, "median": 1.0, "max": 1.0}},
            "dog": {"count": 2, "lengths": {"total": 1.0, "min": 0.5, "median": 0.5, "max": 0.5}},
        },
    }
    assert "b.wav: event 'cat' begins at 3 s, the file ends at 1 s" in report.problems
    assert Flag("clipped_event", {"count": 1, "first": "a.wav"}) in report.flags
    lines = report.lines()
    assert "events: 3 in 2 clips; 0 clips say only what" in lines
    assert "  dog       2  0.5 to 0.5 s, median 0.5 s" in lines


def test_an_import_keeps_the_events(scenes, write):
    folder = scenes("a.wav\t0.25\t0.5\t=dog\nb.wav\t\t\t\n", ("a.wav", "b.wav", "c.wav"))
    write(folder / "weak.tsv", "filename\tevent_labels\nc.wav\t=dog,cat\n")
    import_dataset(read_manifest(folder), folder / "arrays", sample_rate=8_000)
    again = read_manifest(folder / "arrays")
    assert again.format == "desed"
    found = {clip.key: (clip.label, clip.events, clip.duration) for clip in again.clips}
    assert found == {
        "a.npy": (("=dog",), (Event("=dog", 0.25, 0.5, 1.0),), 1.0),
        "b.npy": ((), (), 1.0),
        "c.npy": (("=dog", "cat"), None, 1.0),
    }
    assert again.arrays is not None


def test_a_weak_class_with_a_comma_cannot_be_imported(scenes, write):
    folder = scenes("a.wav\t0.25\t0.5\tdog\n")
    write(folder / "labelled.csv", "path,onset,offset,event_label\na.wav,0,1,dog\n")
    manifest = read_manifest(folder)
    clip = replace(manifest.clips[0], label=("a, b",), events=None, key="w.wav")
    mixed = replace(manifest, clips=(*manifest.clips, clip), labels=("a, b", "dog"))
    with pytest.raises(DataError, match=r"classes 'a, b' hold a comma, which joins labels in weak.tsv; rename them"):
        import_dataset(mixed, folder / "arrays")


def test_the_shared_scenes(shared):
    manifest = read_manifest(shared / "data" / "strong")
    assert (manifest.format, len(manifest), manifest.strong) == ("desed", 80, 80)
    assert sum(len(clip.events) for clip in manifest.clips) == 224
    assert {clip.split for clip in manifest.clips} == {"test"}


@pytest.mark.parametrize("events", [2, 0])
def test_rows_of_low_confidence_are_no_events(tmp_path, wav, write, events):
    """MAESTRO Real lists every class of every second with a confidence, most of them 0."""
    wav(tmp_path / "a.wav", 2.0)
    sure = ("1", "0.5") if events else ("0.4", "0.49")
    cells = zip("0011", "1122", ("dog", "cat", "dog", "cat"), (sure[0], "0.0", "0.1", sure[1]), strict=True)
    rows = "".join(f"a.wav\t{on}\t{off}\t{label}\t{value}\n" for on, off, label, value in cells)
    write(tmp_path / "soft.tsv", f"filename\tonset\toffset\tevent_label\tconfidence\n{rows}")
    write(tmp_path / "more.tsv", "filename\tonset\toffset\tevent_label\na.wav\t0.1\t0.2\tbird\n")
    manifest = read_manifest(tmp_path)
    assert len(manifest.clips[0].events) == 1 + events
    assert f"{4 - events} rows with a confidence below 0.5 are no events" in manifest.notes


@pytest.mark.parametrize("cell", ["high", "1.5", "-0.1", "nan"])
def test_a_confidence_that_is_none(tmp_path, wav, write, cell):
    wav(tmp_path / "a.wav", 1.0)
    write(tmp_path / "t.tsv", f"filename\tonset\toffset\tevent_label\tconfidence\na.wav\t0\t1\tdog\t{cell}\n")
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)
    assert caught.value.problems == (f"t.tsv, line 2: confidence {cell!r} is no number from 0 to 1",)
