# SPDX-License-Identifier: Apache-2.0
"""Results as tables: rows by hand, pandas, Arrow, notebooks, pictures, and what is said when a library is missing."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from auricle.errors import UsageError
from auricle.results import (
    DetectResult,
    EmbedResult,
    Event,
    Failure,
    Flag,
    Interval,
    LabelScore,
    Origin,
    Report,
    RunResult,
    Scores,
    TagResult,
)
from auricle.tabular import arrow_table, joined

START = datetime(2024, 5, 1, 4, 30, tzinfo=UTC)
TAG = TagResult("a.wav", 2.0, scores=(LabelScore("dog", 0.75), LabelScore("cat", 0.25)), origin=Origin(START, "name"))
DETECT = DetectResult(
    "b<>.wav", 10.0, (Flag("clipped", {}),), origin=Origin(START, "name"), part=(60.0, 70.0),
    events=(Event("dog", 61.0, 62.5, 0.75), Event("cat", 62.0, 63.0, 0.5), Event("dog", 65.0, 66.0, 0.25)),
)  # fmt: skip
EMBED = EmbedResult("c.wav", 1.0, embedding=np.array([0.5, -1.0], np.float32))
SCORES = Scores(np.array([0.5, 1.5], np.float32), np.array([[0, 0.5], [1, 0.25]], np.float32), ("dog", "cat"), 1.0)
REPORT = Report({"map": Interval(0.5, 0.25, 0.75, 80)}, {}, 80, "hash")
RUN = RunResult(
    "models/yard", 3, 30, {"map": 0.5}, classes=({"label": "dog", "clips": 3}, {"label": "cat", "recall": 0.5})
)
FAILED = TagResult("x.wav", None, error=Failure("not_found", "no such file"))


def test_rows():
    assert TAG.columns() == {
        "path": ["a.wav", "a.wav"], "start": [START, START], "label": ["dog", "cat"], "score": [0.75, 0.25],
        "share": [None, None],
    }  # fmt: skip
    assert DETECT.columns() == {
        "path": ["b<>.wav"] * 3,
        "start": [datetime(2024, 5, 1, 4, 31, s, tzinfo=UTC) for s in (1, 2, 5)],
        "onset": [61.0, 62.0, 65.0],
        "offset": [62.5, 63.0, 66.0],
        "label": ["dog", "cat", "dog"],
        "score": [0.75, 0.5, 0.25],
    }  # fmt: skip
    assert EMBED.columns() == {"path": ["c.wav"], "start": [None], "duration": [1.0], "e0": [0.5], "e1": [-1.0]}
    assert SCORES.columns() == {"time": [0.5, 1.5], "dog": [0.0, 1.0], "cat": [0.5, 0.25]}
    assert REPORT.columns() == {"metric": ["map"], "value": [0.5], "low": [0.25], "high": [0.75], "n": [80]}
    assert RUN.columns() == {"label": ["dog", "cat"], "clips": [3, None], "recall": [None, 0.5]}
    assert FAILED.columns() == {"path": [], "start": [], "label": [], "score": [], "share": []}


def test_a_label_is_asked_by_its_name():
    assert TAG["cat"] == 0.25
    assert DETECT["dog"] == (DETECT.events[0], DETECT.events[2])
    assert DETECT["cow"] == ()
    assert SCORES["cat"].tolist() == [0.5, 0.25]
    assert REPORT["map"].value == 0.5
    for result, name in ((TAG, "cow"), (SCORES, "cow"), (REPORT, "acc")):
        with pytest.raises(KeyError, match=name):
            result[name]


def test_a_result_says_itself_in_one_line():
    assert repr(TAG) == "<TagResult 'a.wav', 2 s, from 2024-05-01T04:30:00+00:00: dog 0.750, cat 0.250>"
    assert repr(FAILED) == "<TagResult 'x.wav': not_found: no such file>"
    assert repr(DETECT) == (
        "<DetectResult 'b<>.wav', 10 s, from 2024-05-01T04:30:00+00:00: 3 events: dog 61-62.5 s, cat 62-63 s, "
        "dog 65-66 s [clipped]>"
    )
    assert repr(DetectResult("q.wav", 1.0)) == "<DetectResult 'q.wav', 1 s: 0 events>"
    assert repr(EMBED) == "<EmbedResult 'c.wav', 1 s: 2 numbers>"
    assert repr(SCORES) == "<Scores 2 frames of 1 s: dog, cat>"
    assert repr(REPORT) == "<Report of 80: map 0.5 [0.25, 0.75]>"
    assert repr(RUN) == "<RunResult 'models/yard', 3 epochs: map 0.5>"
    many = TagResult("a.wav", 1.0, scores=tuple(LabelScore(f"l{i}", 0.5) for i in range(527)))
    assert repr(many) == "<TagResult 'a.wav', 1 s: l0 0.500, l1 0.500, l2 0.500, 524 more>"


def test_a_notebook_shows_the_line_and_the_first_rows():
    page = DETECT._repr_html_()
    assert page.startswith("<p>&lt;DetectResult &#x27;b&lt;&gt;.wav&#x27;")
    assert page.count("<tr>") == 4
    assert "<td>2024-05-01T04:31:01+00:00</td><td>61</td><td>62.5</td><td>dog</td><td>0.75</td>" in page
    many = TagResult("a.wav", 1.0, scores=tuple(LabelScore(f"l{i}", 0.5) for i in range(25)))
    assert (many._repr_html_().count("<tr>"), "5 more rows" in many._repr_html_()) == (21, True)
    assert "start" not in many._repr_html_()


def test_pandas():
    pandas = pytest.importorskip("pandas")
    table = DETECT.to_pandas()
    assert list(table.columns) == ["path", "start", "onset", "offset", "label", "score"]
    assert str(table["start"].dtype) == "datetime64[ns, UTC]"
    assert table.groupby("label")["score"].max().to_dict() == {"cat": 0.5, "dog": 0.75}
    assert pandas.concat([DETECT.to_pandas(), DETECT.to_pandas()]).shape == (6, 6)
    assert EMBED.to_pandas()[["e0", "e1"]].to_numpy().tolist() == [[0.5, -1.0]]


def test_arrow():
    arrow = pytest.importorskip("pyarrow")
    table = DETECT.to_arrow()
    assert table.schema.field("start").type == arrow.timestamp("us", tz="UTC")
    assert table.to_pylist()[0] == {
        "path": "b<>.wav", "start": datetime(2024, 5, 1, 4, 31, 1, tzinfo=UTC), "onset": 61.0, "offset": 62.5,
        "label": "dog", "score": 0.75,
    }  # fmt: skip
    empty = DetectResult("q.wav", 1.0).to_arrow()
    assert [empty.schema.field(name).type for name in ("path", "start", "onset")] == [
        arrow.string(), arrow.timestamp("us"), arrow.float64(),
    ]  # fmt: skip
    assert REPORT.to_arrow().schema.field("n").type == arrow.int64()
    local = START.replace(tzinfo=None)
    assert arrow_table({"start": [local, None]}).schema.field("start").type == arrow.timestamp("us")
    assert arrow_table({"start": [local, START]}).to_pylist() == [
        {"start": "2024-05-01T04:30:00"}, {"start": "2024-05-01T04:30:00+00:00"},
    ]  # fmt: skip


def test_columns_one_below_the_other():
    parts = [{"a": [1], "b": [2]}, {"a": [3], "c": [4]}, {"a": []}]
    assert joined(parts) == {"a": [1, 3], "b": [2, None], "c": [None, 4]}
    assert joined([]) == {}


def test_pictures():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = TAG.plot(top=1)
    assert [(bar.get_width(), bar.get_height()) for bar in ax.patches] == [(0.75, 0.8)]
    ax = DETECT.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dog", "cat"]
    spans = ax.collections[0].get_paths()
    assert [tuple(path.get_extents().intervalx) for path in spans] == [(61.0, 62.5), (65.0, 66.0)]
    assert ax.get_xlim() == (60.0, 70.0)
    ax = SCORES.plot(ax=ax)
    assert ax.images[0].get_array().tolist() == [[0.0, 1.0], [0.5, 0.25]]
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("module", "call", "hint"),
    [
        ("pandas", TAG.to_pandas, "pandas]"),
        ("pyarrow", TAG.to_arrow, "arrow]"),
        ("matplotlib.pyplot", TAG.plot, "plot]"),
    ],
)  # fmt: skip
def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, module, call, hint):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as caught:
        call()
    name = module.partition(".")[0]
    assert str(caught.value) == f'this needs {name}, which is not installed: pip install "auricle[{hint}"'
