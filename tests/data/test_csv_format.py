# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.data.formats.registry import read_manifest
from auricle.errors import DataError
from auricle.results import Flag


def problems_of(path, **options):
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    return caught.value.problems


def test_the_smallest_table(table):
    manifest = read_manifest(table("path,label\na.wav,dog\nb.wav,cat\n"))
    assert (manifest.format, manifest.task, manifest.labels, len(manifest)) == ("csv", "single", ("cat", "dog"), 2)
    assert [(c.key, c.label, c.negative, c.size_bytes) for c in manifest.clips] == [
        ("a.wav", ("dog",), False, 1644),
        ("b.wav", ("cat",), False, 1644),
    ]
    np.testing.assert_array_equal(manifest.targets(), [[0, 1], [1, 0]])
    assert manifest.name == "data"


def test_nothing_is_decoded(table, write, tmp_path):
    path = table("path,label\na.wav,dog\nb.wav,cat\n")
    write(tmp_path / "a.wav", "this is no audio at all")
    assert len(read_manifest(path)) == 2


def test_a_folder_with_one_fitting_table(table, tmp_path, write):
    table("filename,category\na.wav,dog\nb.wav,cat\n")
    write(tmp_path / "notes.csv", "who,what\n1,2\n")
    manifest = read_manifest(tmp_path)
    assert (manifest.format, len(manifest), manifest.name) == ("csv", 2, tmp_path.name)


def test_two_fitting_tables_are_ambiguous(table, tmp_path):
    table("filename,label\na.wav,dog\n", "one.csv")
    table("filename,label\na.wav,dog\n", "two.csv")
    assert problems_of(tmp_path) == ("one.csv, two.csv: name the one that is meant",)


def test_esc50_layout(tmp_path, wav, write):
    for name in ("1-100032-A-0.wav", "2-1-A-1.wav"):
        wav(tmp_path / "audio" / name)
    rows = "1-100032-A-0.wav,1,0,dog,True,100032,A\n2-1-A-1.wav,2,1,rooster,True,1,A\n"
    write(tmp_path / "meta" / "esc50.csv", f"filename,fold,target,category,esc10,src_file,take\n{rows}")
    manifest = read_manifest(tmp_path)
    assert manifest.labels == ("dog", "rooster")
    assert manifest.folds == ("1", "2")
    assert [c.group for c in manifest.clips] == ["100032", "1"]
    assert manifest.notes == ("groups are taken from the column 'src_file'",)
    assert manifest.flags == ()


def test_multi_labels_negatives_and_all_columns(table):
    text = (
        "filename,label,fold,split,group,onset,offset,comment\n"
        "a.wav,dog;cat,1,train,g1,,,x\na.wav,other,1,train,g1,0.02,0.05,\nb.wav,Background,2,val,g2,0.01,,\n"
    )
    manifest = read_manifest(table(text))
    assert (manifest.task, manifest.labels, manifest.negatives, manifest.folds) == (
        "multi",
        ("cat", "dog"),
        2,
        ("1", "2"),
    )
    a, b, c = manifest.clips
    assert (a.label, a.split, a.group, a.onset, a.offset) == (("cat", "dog"), "train", "g1", None, None)
    assert (b.label, b.negative, b.onset, b.offset) == ((), True, 0.02, 0.05)
    assert (c.split, c.onset, c.offset) == ("dev", 0.01, None)
    np.testing.assert_array_equal(manifest.targets(), [[1, 1], [0, 0], [0, 0]])


def test_odd_names_are_classes_like_any_other(table):  # L9, L10
    manifest = read_manifest(table("path,label\n007.wav,NA\n7.wav,null\n8.wav,007\n9.wav,7\n"))
    assert manifest.labels == ("007", "7", "NA", "null")
    assert manifest.clips[0].key == "007.wav"


def test_missing_columns_are_named_with_the_nearest(table):  # L1
    assert problems_of(table("xyz,labls\na.wav,dog\n")) == (
        "no column 'path' (or 'filename'); found: 'xyz', 'labls'",
        "no column 'label' (did you mean 'labls'?) (or 'category'); found: 'xyz', 'labls'",
    )


def test_two_columns_that_say_the_same(table):
    assert problems_of(table("path,filename,label\na.wav,a.wav,dog\n")) == (
        "the columns 'path' and 'filename' say the same; remove or rename one",
    )


def test_every_problem_at_once(table):
    text = (
        "path,label,split,fold,onset,offset\n"
        "a.wav,,train,1,,\n"
        "b.wav,dog;other,train,1,,\n"
        "/etc/passwd,dog,train,1,,\n"
        "c.wav,dog,holdout,,,\n"
        'd.wav,dog,test,1,"0,5",\n'
        "e.wav,dog,test,1,2,1\n"
        "f.wav,dog,test,1,-1,nan\n"
        "g.wav,dog,test,1,x,\n"
    )
    path = table(text, audio=False)
    assert problems_of(path, max_missing=1) == (
        "line 2: no label; write 'other' for a clip without any class",
        "line 3: 'other' means no class and cannot stand beside 'dog'; keep one of them",
        f"line 4: path '/etc/passwd' leads outside the data folder {path.parent}; write it relative to the table",
        "line 5: no fold; fill the cell or remove the column",
        "line 5: split 'holdout' is none of train, dev, test",
        "line 6: onset '0,5' is no number of seconds; write the decimal point as '.'",
        "line 7: offset 1 is not after onset 2",
        "line 8: onset '-1' must be finite and not negative",
        "line 8: offset 'nan' must be finite and not negative",
        "line 9: onset 'x' is no number of seconds",
    )


def test_equal_rows_are_merged_and_flagged(table):  # L5
    manifest = read_manifest(table("path,label\na.wav,dog\na.wav,dog\nb.wav,cat\na.wav,dog\n"))
    assert [c.key for c in manifest.clips] == ["a.wav", "b.wav"]
    assert manifest.flags == (Flag("duplicate_row", {"count": 2, "first": "a.wav"}),)


def test_rows_that_contradict_each_other_stop(table):  # L6
    path = table("path,label,split\na.wav,dog,train\na.wav,cat,test\n")
    assert problems_of(path) == (
        "line 2 and line 3: 'a.wav' stands twice and they differ in label, split; "
        "keep one row (several labels: join them with ';')",
    )


def test_segments_of_one_file_are_no_repeats(table):
    manifest = read_manifest(table("path,label,onset,offset\na.wav,dog,0,1\na.wav,cat,1,2\na.wav,dog,1,3\n"))
    assert len(manifest) == 3
    assert manifest.groups() == ["file a.wav"] * 3


def test_unknown_class_says_count_and_nearest(table):  # L7
    path = table("path,label\na.wav,dog\nb.wav,dgo\nc.wav,dgo\n")
    assert problems_of(path, labels=["dog", "cat"]) == (
        "class 'dgo' is unknown (2 clips) (did you mean 'dog'?); known: dog, cat",
    )


def test_given_labels_fix_the_order(table):
    manifest = read_manifest(table("path,label\na.wav,dog\nb.wav,cat\n"), labels=["dog", "bird", "cat"])
    np.testing.assert_array_equal(manifest.targets(), [[1, 0, 0], [0, 0, 1]])


def test_a_few_absent_files_are_flagged_many_stop(table, tmp_path):  # L21
    rows = "".join(f"{i}.wav,{'ab'[i % 2]}\n" for i in range(20))
    path = table("path,label\n" + rows)
    (tmp_path / "3.wav").unlink()
    manifest = read_manifest(path)
    assert len(manifest) == 19
    assert manifest.flags == (Flag("missing_file", {"count": 1, "first": "3.wav"}),)
    for i in (4, 5):
        (tmp_path / f"{i}.wav").unlink()
    assert problems_of(path) == (
        "3 of 20 listed files are absent (15.0%; at most 10% may be): '3.wav', '4.wav', '5.wav'; "
        "check where the audio lies",
    )
    assert len(read_manifest(path, max_missing=0.2)) == 17


def test_unlisted_files_are_flagged(table, wav, tmp_path):  # L21
    path = table("path,label\na.wav,dog\nb.wav,cat\n")
    wav(tmp_path / "extra.WAV")
    wav(tmp_path / "._a.wav")
    assert read_manifest(path).flags == (Flag("unlisted_file", {"count": 1, "first": "extra.WAV"}),)


def test_labels_that_look_alike_are_flagged(table):
    manifest = read_manifest(table("path,label\na.wav,Dog\nb.wav,dog\n"))
    assert manifest.labels == ("Dog", "dog")
    assert manifest.flags == (Flag("name_collision", {"count": 2, "first": "Dog / dog"}),)


def test_task_can_be_overridden(table):
    path = table("path,label\na.wav,dog\nb.wav,cat;dog\n")
    assert read_manifest(path, task="multi").task == "multi"
    assert problems_of(path, task="single") == ("line 3: 2 labels (cat, dog), but the task is single; choose multi",)


def test_arrays_in_a_table_need_their_rate(tmp_path, write):
    np.save(tmp_path / "a.npy", np.zeros(10, np.float32))
    np.save(tmp_path / "b.npy", np.zeros(10, np.float32))
    path = write(tmp_path / "data.csv", "path,label\na.npy,dog\nb.npy,cat\n")
    assert problems_of(path) == (
        "no features.json says what the arrays hold; for waveforms say their --sample-rate, log-mels need the file",
    )
    arrays = read_manifest(path, sample_rate=16_000).arrays
    assert (arrays.kind, arrays.sample_rate) == ("waveform", 16_000)


def test_esc10_reads_as_documented(shared):
    manifest = read_manifest(shared / "data" / "esc10")
    assert (manifest.format, manifest.task, len(manifest.labels), len(manifest)) == ("csv", "single", 10, 400)
    assert manifest.folds == ("1", "2", "3", "4", "5")
    assert manifest.notes == ("groups are taken from the column 'freesound_id'",)
    assert manifest.flags == ()
    assert manifest.negatives == 0


def test_no_table_at_all(tmp_path):
    assert problems_of(tmp_path, data_format="csv") == ("expected one .csv or .tsv with the columns path and label",)


@pytest.mark.parametrize("blank", [" ", "\u00a0"])
def test_blanks_beside_the_name_of_a_recording_are_no_part_of_it(table, tmp_path, write, blank):
    table("path,label\na.wav,dog\nb.wav,cat\n")
    path = write(tmp_path / "t.csv", f"path,label\na.wav{blank},dog\n{blank}b.wav,cat\n")
    assert [clip.key for clip in read_manifest(path).clips] == ["a.wav", "b.wav"]
