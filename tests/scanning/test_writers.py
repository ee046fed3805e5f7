# SPDX-License-Identifier: Apache-2.0
"""Results as lines, CSV and label files, on a stream."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from auricle.errors import UsageError
from auricle.events.formats import parse_csv, parse_raven
from auricle.results import DetectResult, EmbedResult, Event, Failure, Flag, LabelScore, TagResult
from auricle.runtime.thresholds import Thresholds
from auricle.scanning.views import detect_view, embed_view, tag_view
from auricle.scanning.writers import describe_failure, open_writer

DOG = TagResult(
    "a.wav", 5.0, (Flag("silent"),), (LabelScore("dog", 0.75), LabelScore("rain", 0.2), LabelScore("sea", 0.1))
)
GONE = TagResult("=b.wav", None, error=Failure("not_found", "no such file: =b.wav"))
BARK = DetectResult("a.wav", 5.0, events=(Event("dog", 0.5, 1.25, 0.9), Event("rain", 2.0, 5.0, 0.6)))
QUIET = DetectResult("c.wav", 5.0)
LOST = DetectResult("b.wav", None, error=Failure("not_found", "no such file: b.wav"))

ALL = Thresholds()


def written(view, format, *results, report=lambda line: None):
    stream = io.StringIO()
    writer = open_writer(view, format, stream, report)
    for result in results:
        writer.write(result)
    writer.close(True)
    return stream.getvalue()


def test_json_has_a_line_for_each_input_failed_or_not():
    lines = [json.loads(line) for line in written(tag_view(2, ALL), "json", DOG, GONE).splitlines()]
    assert lines == [
        {
            "path": "a.wav",
            "duration": 5.0,
            "flags": [{"code": "silent"}],
            "scores": [{"label": "dog", "score": 0.75}, {"label": "rain", "score": 0.2}],
            "error": None,
        },
        {
            "path": "=b.wav",
            "duration": None,
            "flags": [],
            "scores": [],
            "error": {"code": "not_found", "message": "no such file: =b.wav"},
        },
    ]


def test_json_lines_are_visible_at_once():
    stream = io.StringIO()
    open_writer(tag_view(1, ALL), "json", stream).write(DOG)
    assert stream.getvalue().endswith("\n")


def test_top_and_threshold_choose_the_scores():
    only_dog = tag_view(5, Thresholds(1.0, {"dog": 0.5}))
    assert [s["label"] for s in only_dog.to_dict(DOG)["scores"]] == ["dog"]
    none = tag_view(5, Thresholds(1.0))
    assert list(none.rows(DOG)) == [("a.wav", 5.0, None, None, None)]


def test_csv_of_tags_has_flags_and_failures_and_disarms_formulas():
    assert written(tag_view(2, ALL), "csv", DOG, GONE) == (
        "path,duration,label,score,share,flags,error,message\n"
        "a.wav,5,dog,0.75,,silent,,\n"
        "a.wav,5,rain,0.2,,silent,,\n"
        "'=b.wav,,,,,,not_found,no such file: =b.wav\n"
    )


def test_events_as_csv_and_raven_can_be_read_back():
    said = []
    csv_text = written(detect_view(), "csv", BARK, LOST, QUIET, report=said.append)
    assert parse_csv(csv_text.splitlines(keepends=True))[0].events == BARK.events
    raven = written(detect_view(), "raven", BARK, LOST, QUIET, report=said.append)
    assert parse_raven(raven.splitlines(keepends=True))[0].events == BARK.events
    assert said == ["b.wav: no such file: b.wav [not_found]"] * 2


def test_audacity_labels_of_one_recording():
    assert written(detect_view(), "audacity", BARK) == "0.500000\t1.250000\tdog\n2.000000\t5.000000\train\n"


def test_audacity_labels_of_two_recordings_need_a_folder():
    with pytest.raises(UsageError, match="Audacity labels are for one recording"):
        written(detect_view(), "audacity", BARK, DetectResult("d.wav", 1.0, events=BARK.events))


def test_an_embedding_is_a_row_of_numbers():
    result = EmbedResult("a.wav", 1.0, embedding=np.array([0.5, -1], np.float32))
    assert written(embed_view(2), "csv", result) == "path,duration,e0,e1,flags,error,message\na.wav,1,0.5,-1,,,\n"


# --- names that would steer a terminal

EVIL = "\x9b2J\x07\x7f\u202e\u2028evil\x1b[31m\n.wav"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tame(text: str) -> bool:
    return all(character.isprintable() or character in "\n\t" for character in text)


def test_json_on_a_terminal_or_in_a_file_holds_no_control_characters():
    for result, view in ((TagResult(EVIL, 1.0), tag_view(None, ALL)), (DetectResult(EVIL, 1.0), detect_view())):
        text = written(view, "json", result)
        assert tame(text)
        assert json.loads(text)["path"] == EVIL
        assert len(text.splitlines()) == 1


@pytest.mark.parametrize("format", ["csv", "raven"])
def test_tables_are_exact_in_a_file_and_tame_on_a_terminal(format):
    result = DetectResult(EVIL, 5.0, events=(Event("dog", 0.5, 1.25, 0.9),))
    exact, screen = io.StringIO(newline=""), Terminal(newline="")
    for stream in (exact, screen):
        writer = open_writer(detect_view(), format, stream)
        writer.write(result)
        writer.close(True)
    assert "\x9b" in exact.getvalue()
    assert tame(screen.getvalue())
    assert "\\x9b2J" in screen.getvalue()


def test_the_reason_of_a_failure_is_tame():
    gone = TagResult(EVIL, None, error=Failure("not_found", f"no such file: {EVIL}"))
    assert tame(describe_failure(gone))
