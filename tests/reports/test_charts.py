# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from auricle.reports.charts import HEIGHT, WIDTH, Axis, Chart, round_ticks


def test_points_lie_where_the_axes_say():
    chart = Chart("Heights", Axis("x", 0, 10), Axis("y", 0, 1))
    chart.line([0, 10], [0, 1], hue="red", name="rise <1>")
    chart.dot(5, 2, hue="red")
    root = ET.fromstring(chart.svg())
    first, last = ([float(v) for v in p.split(",")] for p in root.find("polyline").get("points").split())
    assert (first, last) == ([52, HEIGHT - 44], [WIDTH - 14, 12])
    dot = root.find("circle")
    assert float(dot.get("cx")) == pytest.approx((first[0] + last[0]) / 2)
    assert float(dot.get("cy")) == 12, "what lies beyond an axis stays at its end"
    assert [root.find("title").text, root.find("polyline/title").text] == ["Heights", "rise <1>"]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 7.5, ["0", "2", "4", "6"]),
        (0.5, 1, ["0.5", "0.6", "0.7", "0.8", "0.9", "1"]),
        (0, 0.003, ["0", "0.001", "0.002", "0.003"]),
        (0, 3, ["0", "1", "2", "3"]),
    ],
)
def test_ticks_are_round_and_few(low, high, texts):
    assert [text for _, text in round_ticks(low, high)] == texts


def test_named_lines_stand_in_a_legend_beneath():
    chart = Chart("Heights", Axis("x"), Axis("y"))
    chart.line([0, 1], [0, 1], hue="red", name="a & b")
    chart.line([0, 1], [0, 1], hue="blue", name="x" * 50, dashed=True)
    chart.line([0, 1], [0, 1], hue="green")
    root = ET.fromstring(chart.svg())
    legend = [text.text for text in root.findall("text") if text.get("class") == "legend"]
    assert legend == ["a & b", "x" * 33 + "…"]
    assert root.get("viewBox") == f"0 0 {WIDTH} {HEIGHT + 26}"
    keys = [line for line in root.findall("line") if line.get("class") == "key"]
    assert [line.get("stroke-dasharray") for line in keys] == [None, "5 4"]
