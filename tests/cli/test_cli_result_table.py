# SPDX-License-Identifier: Apache-2.0
"""Results as a table for people."""

from __future__ import annotations

import io

from auricle.cli.recordings import ResultTable
from auricle.results import DetectResult, Event, Failure, Flag, LabelScore, TagResult
from auricle.runtime.thresholds import Thresholds
from auricle.scanning.views import detect_view, tag_view

DOG = TagResult("a.wav", 5.0, (Flag("silent"),), (LabelScore("dog", 0.75), LabelScore("rain", 0.2)))
GONE = TagResult("=b.wav", None, error=Failure("not_found", "no such file: =b.wav"))
BARK = DetectResult("a.wav", 5.0, events=(Event("dog", 0.5, 1.25, 0.9), Event("rain", 2.0, 5.0, 0.6)))
QUIET = DetectResult("c.wav", 5.0)


def shown(view, *results):
    """Return what is printed, and what is reported on the way."""
    stream, reported = io.StringIO(), []
    table = ResultTable(view, stream, reported.append)
    for result in results:
        table.write(result)
    assert stream.getvalue() == "", "a table is printed at the end"
    table.close(True)
    return stream.getvalue(), reported


def test_the_table_shows_flags_and_reports_failures():
    assert shown(tag_view(1, Thresholds()), DOG, GONE) == (
        "path   duration  label  score  flags\na.wav         5  dog     0.75  silent\n",
        ["=b.wav: no such file: =b.wav [not_found]"],
    )


def test_the_table_has_no_column_of_flags_where_there_are_none():
    assert shown(detect_view(), BARK, QUIET)[0] == (
        "path   onset  offset  label  score\n"
        "a.wav    0.5    1.25  dog      0.9\n"
        "a.wav      2       5  rain     0.6\n"
        "c.wav\n"
    )


def test_failures_alone_make_no_table():
    assert shown(tag_view(1, Thresholds()), GONE)[0] == ""
