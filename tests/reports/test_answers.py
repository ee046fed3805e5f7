# SPDX-License-Identifier: Apache-2.0
"""What a user asks first, for a model whose events are known by hand: a class above its threshold is one event."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import RATE, make_bundle

from auricle.data.formats.registry import read_manifest
from auricle.reports.answers import THRESHOLDS, answer_chart, answer_questions
from auricle.runtime.detector import load

#: Level of each clip of 36 s; ``loud`` scores the level, ``quiet`` one minus it; thresholds are 0.5.
CLIPS = {"loud": (0.9, 0.8, 0.3), "quiet": (0.1, 0.7)}
SECONDS = 36


@pytest.fixture
def answers(tmp_path):
    buzz = np.tile(np.array([1, -1], np.float32), SECONDS * RATE // 2)
    for label, levels in CLIPS.items():
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number, level in enumerate(levels):
            soundfile.write(tmp_path / "clips" / label / f"{number}.wav", level * buzz, RATE, subtype="FLOAT")
    model = make_bundle(tmp_path / "model", task="single").path
    manifest = read_manifest(tmp_path / "clips", labels=("loud", "quiet"), task="single")
    return answer_questions(load(model), manifest, manifest.targets())


def test_found_clips_and_false_alarms_are_counted_by_hand(answers):
    together, loud, quiet = answers
    assert (loud.label, loud.clips, loud.found, loud.alarms, loud.threshold) == ("loud", 3, 2, 1, 0.5)
    assert loud.share.value == pytest.approx(2 / 3)
    assert loud.share.low < 2 / 3 < loud.share.high
    assert loud.per_hour.value == pytest.approx(50), "one event in two clips of 0.01 h"
    assert (loud.per_hour.low, loud.per_hour.n) == (pytest.approx(0.0253 / 0.02, rel=1e-2), 2)
    assert (quiet.clips, quiet.found, quiet.alarms) == (2, 1, 1)
    assert quiet.per_hour.value == pytest.approx(1 / 0.03)
    assert (together.clips, together.found, together.alarms) == (5, 3, 2)
    assert together.per_hour.value == pytest.approx(2 / 0.05)


def test_other_thresholds_find_more_or_less(answers):
    curve = {x: (share, rate) for x, share, rate in answers[1].curve}
    assert list(curve) == list(THRESHOLDS)
    assert curve[0.2] == (1.0, pytest.approx(50)), "0.9, 0.8 and 0.3 are found; 0.7 is a false alarm"
    assert curve[0.05] == (1.0, pytest.approx(100))
    assert curve[0.8][1] == 0.0
    assert curve[0.95] == (0.0, 0.0)


def test_the_chart_has_a_line_a_legend_and_a_dot_for_each_class(answers):
    root = ET.fromstring(answer_chart(answers))
    assert [text.text for text in root.findall("text") if text.get("class") == "legend"] == ["loud", "quiet"]
    assert len(root.findall("circle")) == 2
    assert [line.find("title").text for line in root.findall("polyline") if line.find("title") is not None] == [
        "loud",
        "quiet",
    ]
    assert {text.text for text in root.findall("text")} >= {"false alarms an hour", "share of clips found", "0", "100"}


def test_without_clips_of_a_class_there_is_no_curve(answers):
    from dataclasses import replace

    assert answer_chart([answers[0], replace(answers[1], curve=())]) is None
