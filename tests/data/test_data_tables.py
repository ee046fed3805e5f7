# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.cells import escape_cell, unescape_cell
from auricle.data import tables
from auricle.data.tables import guess_encoding, read_columns, read_table, sniff_delimiter
from auricle.errors import DataError, UsageError


def problems_of(path, **options):
    with pytest.raises(DataError) as caught:
        read_table(path, **options)
    return caught.value.problems


def test_cells_stay_text_and_lines_count_from_the_header(tmp_path, write):
    path = write(tmp_path / "t.csv", 'id,label\n007,NA\n\n"a\nb",1.0\n=1+1, x \n')
    table = read_table(path)
    assert table.columns == ("id", "label")
    assert table.rows == (("007", "NA"), ("a\nb", "1.0"), ("=1+1", " x "))
    assert table.lines == (2, 4, 6)
    assert table.column("id") == ["007", "a\nb", "=1+1"]
    assert table.notes == ()


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings(tmp_path, write, ending):
    table = read_table(write(tmp_path / "t.csv", f"a,b{ending}1,2{ending}3,4"))
    assert table.rows == (("1", "2"), ("3", "4"))
    assert table.lines == (2, 3)


def test_byte_order_mark_is_no_part_of_a_name(tmp_path, write):  # L2
    assert read_table(write(tmp_path / "t.csv", b"\xef\xbb\xbfa,b\n1,2\n")).columns == ("a", "b")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_unicode_is_named_and_read_when_asked_for(tmp_path, write, encoding):  # L3
    path = write(tmp_path / "t.csv", "filename,label\na.wav,hund\n".encode(encoding))
    (problem,) = problems_of(path)
    assert problem == f"it looks like {encoding}: save it as UTF-8, or say --encoding {encoding}"
    assert read_table(path, encoding=encoding).rows == (("a.wav", "hund"),)


@pytest.mark.parametrize(("text", "encoding"), [("häher", "latin-1"), ("häher “x”", "cp1252")])
def test_western_encodings_are_guessed(tmp_path, write, text, encoding):  # L3
    path = write(tmp_path / "t.csv", f"filename,label\na.wav,{text}\n".encode(encoding))
    assert f"--encoding {encoding}" in problems_of(path)[0]
    assert read_table(path, encoding=encoding).rows[0][1] == text


def test_bytes_that_are_no_utf8_far_into_the_file_are_found_by_line(tmp_path, write):
    good = b"a,b\n" + b"1,2\n" * 30_000
    path = write(tmp_path / "t.csv", good + b"\xe4,2\n")
    assert problems_of(path) == (
        "line 30002: byte 0xe4 is not utf-8; save it as UTF-8, or say --encoding latin-1 (or what it is)",
    )


def test_a_character_cut_by_the_end_of_the_head_is_no_fault():
    assert guess_encoding("ä".encode() * 10 + "ä".encode()[:1]) == "utf-8"


def test_unknown_encoding(tmp_path, write):
    with pytest.raises(UsageError, match="unknown encoding 'klingon'; examples: utf-8, utf-16, latin-1, cp1252"):
        read_table(write(tmp_path / "t.csv", "a\n1\n"), encoding="klingon")


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolon"), ("\t", "tab")])
def test_delimiter_is_taken_from_the_header_and_said(tmp_path, write, delimiter, name):  # L4
    text = "file,label,fold\na.wav,dog,1\n".replace(",", delimiter)
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.rows == (("a.wav", "dog", "1"),)
    assert table.notes == (f"t.csv: the delimiter is a {name}, taken from the header",)


def test_tab_is_expected_in_a_tsv_and_labels_may_hold_the_other_delimiters(tmp_path, write):
    table = read_table(write(tmp_path / "t.tsv", "file\tlabel\na,b.wav\tdog;cat\n"))
    assert table.rows == (("a,b.wav", "dog;cat"),)
    assert table.notes == ()


def test_a_delimiter_can_be_given(tmp_path, write):
    assert read_table(write(tmp_path / "t.csv", "a|b\n1|2\n"), delimiter="|").rows == (("1", "2"),)


def test_quotes_hide_delimiters_from_sniffing():
    assert sniff_delimiter('"a;b;c",d') == ","
    assert sniff_delimiter("one") == ","


def test_duplicate_columns_and_ragged_rows_are_reported_together(tmp_path, write):  # L11, L12
    path = write(tmp_path / "t.csv", "a,label,label\n1,2\n1,2,3\n1,2,3,4\n")
    assert problems_of(path) == (
        "column 'label' stands twice; remove or rename one",
        "line 2: 2 cells, but the header has 3",
        "line 4: 4 cells, but the header has 3",
    )


def test_missing_column_names_the_nearest(tmp_path, write):  # L1
    table = read_table(write(tmp_path / "t.csv", "file_name,class\n1,2\n"))
    with pytest.raises(
        DataError, match=r"no column 'filename' \(did you mean 'file_name'\?\); found: 'file_name', 'class'"
    ):
        table.column("filename")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,\0\n", "line 2 holds a NUL byte; the file is damaged or no text"),
        (b'a,b\n1,2\n"1,2\n3,4\n', "line 3: a quote is not closed, or stands inside a cell"),
        (b'a,b\n"1"2,2\n', "line 2: a quote is not closed, or stands inside a cell"),
        (b"a,b\n" + b"x" * (tables.MAX_LINE_CHARS + 1), "line 2 is longer than 100000 characters"),
        (b'a,b\n"1' + b"x\n" * 70_000, "line 2: a quote is not closed"),
        (b"", "the table is empty: expected a header and rows"),
        (b"a,b\n", "the table has a header and no rows"),
    ],
)
def test_damaged_tables_stop_with_their_line(tmp_path, write, content, problem):  # L19
    assert problems_of(write(tmp_path / "t.csv", content))[0].startswith(problem)


def test_size_is_bounded(tmp_path, write, monkeypatch):
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 10)
    assert problems_of(write(tmp_path / "t.csv", "a,b\n1,2\n3,4\n")) == ("it has 12 bytes; a table has at most 10",)


def test_what_is_no_file(tmp_path):
    assert problems_of(tmp_path) == ("it is not a regular file",)
    assert problems_of(tmp_path / "none.csv") == ("No such file or directory",)
    os.mkfifo(tmp_path / "pipe.csv")
    assert problems_of(tmp_path / "pipe.csv") == ("it is not a regular file",)


def test_columns_alone_do_not_need_a_good_body(tmp_path, write):
    assert read_columns(write(tmp_path / "t.csv", " a ,b\n1\n\0")) == ("a", "b")
    assert read_columns(write(tmp_path / "empty.csv", "")) == ()


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-x.wav", "@cmd", "\tx"])
def test_formulas_are_escaped(cell):  # L20
    assert escape_cell(cell) == "'" + cell
    assert unescape_cell(escape_cell(cell)) == cell


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *([escape_cell(cell) for cell in row] for row in rows)])
    path.write_bytes(text.getvalue().encode())
    wanted = tuple(tuple(row) for row in rows if any(escape_cell(cell).strip() for cell in row))
    assert read_table(path, may_be_empty=True).rows == wanted  # a row without a word is no row
