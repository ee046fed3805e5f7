# SPDX-License-Identifier: Apache-2.0
"""Rows for people and for spreadsheets."""

from __future__ import annotations

import io

import pytest

from auricle.cells import as_text, csv_line
from auricle.cli.tables import for_people, print_table, printable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_columns_are_aligned_and_numbers_stand_on_the_right():
    stream = io.StringIO()
    print_table(("path", "label", "score"), [("a.wav", "dog", 0.5), ("longer.wav", None, None)], stream)
    assert stream.getvalue() == ("path        label  score\na.wav       dog      0.5\nlonger.wav\n")


def test_a_column_of_text_and_numbers_stays_on_the_left():
    stream = io.StringIO()
    print_table(("x",), [("a",), (10,)], stream)
    assert stream.getvalue() == "x\na\n10\n"


def test_no_rows_leave_the_header():
    stream = io.StringIO()
    print_table(("a", "b"), [], stream)
    assert stream.getvalue() == "a  b\n"


def test_a_terminal_gets_the_same_cells_and_no_markup():
    stream = Terminal()
    print_table(("label", "score"), [("[red]dog[/red]", 0.25)], stream)
    assert "[red]dog[/red]" in stream.getvalue()
    assert "0.25" in stream.getvalue()


def test_floats_have_six_significant_digits():
    assert [as_text(v) for v in (None, 0.123456789, 12, "x")] == ["", "0.123457", "12", "x"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (86_399.9996, "86400"),
        (-1234.56789, "-1234.568"),
        (100.0, "100"),
        (0.99995, "1"),
        (0.123456, "0.1235"),
        (0.0, "0"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (7, "7"),
    ],
)
def test_numbers_for_people_keep_milliseconds_of_a_day_and_digits_of_a_score(value, text):
    assert for_people(value) == text


def test_control_characters_and_broken_bytes_are_escaped():
    assert printable("a\x1b[2J\n\udce9\u202eé") == r"a\x1b[2J\n\udce9\u202eé"


def test_csv_quotes_and_disarms_formulas_but_leaves_numbers():
    assert csv_line(("=1+1", "a,b", -0.5, None, "-x")) == "'=1+1,\"a,b\",-0.5,,'-x\n"
