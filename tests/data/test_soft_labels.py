# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.data.formats.registry import read_manifest
from auricle.data.soft_labels import attach_soft_labels, read_soft_labels
from auricle.errors import DataError


@pytest.fixture
def soft(tmp_path, write):
    """Write a table of soft labels: ``soft(text) -> path``."""
    return lambda text: write(tmp_path / "soft.csv", text)


def problems_of(path, **options):
    with pytest.raises(DataError) as caught:
        read_soft_labels(path, **options)
    return caught.value.problems


def test_columns_are_sorted_by_name_whatever_their_order(soft):  # L16
    table = read_soft_labels(soft("filename,dog,cat\na.npy,0.75,0.25\nb.npy,0,1\n"))
    assert (table.task, table.labels, table.names, table.lines) == (
        "single",
        ("cat", "dog"),
        ("a.npy", "b.npy"),
        (2, 3),
    )
    np.testing.assert_allclose(table.values, [[0.25, 0.75], [1, 0]])
    np.testing.assert_allclose(table.ordered(["dog", "bird", "cat"]), [[0.75, 0, 0.25], [0, 0, 1]])


def test_extra_columns_are_no_classes(soft):
    table = read_soft_labels(soft("path,fold,dog,cat,group,split\na.npy,1,0.5,0.5,g,train\n"))
    assert table.labels == ("cat", "dog")
    assert table.extra == {"fold": ("1",), "split": ("train",), "group": ("g",)}


def test_every_bad_value_with_its_line(soft):  # L13, L14
    text = 'filename,dog,cat\na,0.5,nan\nb,inf,-0.1\nc,"0,5",1.5\nd,,x\n'
    assert problems_of(soft(text)) == (
        "line 2: 'cat' = 'nan' is outside [0, 1]",
        "line 3: 'dog' = 'inf' is outside [0, 1]",
        "line 3: 'cat' = '-0.1' is outside [0, 1]",
        "line 4: 'dog' = '0,5' is no number; write the decimal point as '.'",
        "line 4: 'cat' = '1.5' is outside [0, 1]",
        "line 5: 'dog' = '' is no number",
        "line 5: 'cat' = 'x' is no number",
    )


@pytest.mark.parametrize(("value", "fits"), [("0.501", True), ("0.499", True), ("0.5011", False), ("0.498", False)])
def test_distributions_must_sum_to_one_within_the_tolerance(soft, value, fits):  # L15
    path = soft(f"filename,dog,cat\na,0.5,{value}\nb,0.5,0.5\n")
    if fits:
        assert read_soft_labels(path, task="single").task == "single"
    else:
        (problem,) = problems_of(path, task="single")
        total = f"{0.5 + float(value):.6g}"
        assert problem == (
            f"line 2: the values sum to {total}, not to 1 (tolerance 0.001); "
            "normalise them where they are made, or set task: multi"
        )


def test_nothing_is_renormalised(soft):
    table = read_soft_labels(soft("filename,dog,cat\na,0.3,0.2\nb,0.9,0.8\n"), task="multi")
    np.testing.assert_allclose(table.values, [[0.2, 0.3], [0.8, 0.9]])


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        ("a,0.5,0.5\nb,1,0\n", "single"),
        ("a,0.5,0.5\nb,0,0\n", "single"),  # an all-zero row is a negative
        ("a,0.9,0.9\nb,0.5,0.5\n", "multi"),
        ("a,1,1\n" + "b,1,0\n" * 50, "multi"),  # hard labels with several classes
    ],
)
def test_task_is_found_out(soft, rows, task):
    assert read_soft_labels(soft("filename,dog,cat\n" + rows)).task == task


def test_a_stray_row_among_distributions_is_a_fault_not_another_task(soft):  # L15
    rows = "".join(f"f{i},0.4,0.6\n" for i in range(20))
    (problem,) = problems_of(soft("filename,dog,cat\n" + rows + "x,0.4,0.5\n"))
    assert problem.startswith("line 22: the values sum to 0.9, not to 1")


def test_a_column_of_negatives_counts_in_the_sum_and_is_no_class(soft):
    table = read_soft_labels(soft("filename,dog,other\na,0.2,0.8\nb,1,0\n"))
    assert (table.task, table.labels) == ("single", ("dog",))
    np.testing.assert_allclose(table.values, [[0.2], [1]])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,dog\na,1\n", "no column 'path' (or 'filename'); found: 'file', 'dog'"),
        ("filename,fold\na,1\n", "no column of a class; found: 'filename', 'fold'"),
        ("filename,,dog\na,0,1\n", "a column has no name; write the table without its index (pandas: index=False)"),
    ],
)
def test_columns_that_cannot_be(soft, text, problem):
    assert problem in problems_of(soft(text))


class TestAttach:
    @pytest.fixture
    def manifest(self, table):
        return read_manifest(table("path,label\nx/a.wav,dog\nx/b.wav,cat\nx/c.wav,other\n"))

    def test_files_join_by_path_or_unique_base_name_and_classes_by_name(self, manifest, soft):
        table = read_soft_labels(soft("filename,dog,cat\nb.npy,0.25,0.75\nx/a.wav,0.5,0.5\n"))
        joined = attach_soft_labels(manifest, table)
        values, present = joined.soft_targets()
        np.testing.assert_allclose(values, [[0.5, 0.5], [0.75, 0.25], [0, 0]])
        np.testing.assert_array_equal(present, [True, True, False])
        assert [c.kind for c in joined.clips] == ["both", "both", "hard"]
        np.testing.assert_array_equal(joined.targets(), manifest.targets())
        assert joined.notes == ("1 of 3 clips have no soft label: x/c.wav",)
        assert joined.data_hash != manifest.data_hash

    def test_a_base_name_that_stands_twice_joins_nothing(self, manifest, soft):
        table = read_soft_labels(soft("filename,dog,cat\ny/a.wav,0,1\nz/a.wav,1,0\nb.wav,0,1\n"))
        assert [c.kind for c in attach_soft_labels(manifest, table).clips] == ["hard", "both", "hard"]

    def test_classes_must_be_the_same_on_both_sides(self, manifest, soft):  # L7, L16
        table = read_soft_labels(soft("filename,dgo,cat\na.wav,1,0\n"))
        with pytest.raises(DataError) as caught:
            attach_soft_labels(manifest, table)
        assert caught.value.problems == (
            "column 'dgo' is no class of the data (did you mean 'dog'?)",
            "class 'dog' has no column (did you mean 'dgo'?)",
        )

    def test_rows_that_are_no_distributions_do_not_fit_a_single_task(self, manifest, soft):
        table = read_soft_labels(soft("filename,dog,cat\na.wav,0.9,0.9\nb.wav,0.1,0.1\n"))
        with pytest.raises(DataError, match=r"line 2: the values sum to 1.8, not to 1"):
            attach_soft_labels(manifest, table)

    def test_a_file_that_stands_twice(self, manifest, soft):
        table = read_soft_labels(soft("filename,dog,cat\na.wav,1,0\n./a.wav,0,1\n"))
        with pytest.raises(DataError, match=r"lines 2 and 3: './a.wav' stands twice"):
            attach_soft_labels(manifest, table)

    def test_a_table_of_other_files(self, manifest, soft):
        table = read_soft_labels(soft("filename,dog,cat\nq.wav,1,0\n"))
        with pytest.raises(DataError, match=r"no file of the data is listed; listed: q.wav; data: x/a.wav, x/b.wav"):
            attach_soft_labels(manifest, table)

    def test_segments_have_no_soft_labels(self, table, soft):
        manifest = read_manifest(table("path,label,onset\na.wav,dog,1\nb.wav,cat,1\n"))
        with pytest.raises(
            DataError, match="the data has segments of files, and these soft labels are for whole files"
        ):
            attach_soft_labels(manifest, read_soft_labels(soft("filename,dog,cat\na.wav,1,0\n")))
