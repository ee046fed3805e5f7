# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG inside a page: they take its colours, so light and dark need no second drawing.

A chart has one unit a pixel at full width and shrinks with the page. Every chart has a title that screen readers say.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44
_TICKS = 5
_LEGEND_COLUMNS, _LEGEND_TEXT = 2, 34


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        label: what it shows, with its unit.
        low: value at its beginning.
        high: value at its end.
        ticks: values and their texts; None chooses round ones.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    ticks: Sequence[tuple[float, str]] | None = None

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    def marks(self) -> Sequence[tuple[float, str]]:
        """Return the ticks."""
        return round_ticks(self.low, self.high) if self.ticks is None else self.ticks


def round_ticks(low: float, high: float, most: int = _TICKS) -> list[tuple[float, str]]:
    """Return round values between two ends, at most ``most + 1``, with their texts.

    >>> [text for _, text in round_ticks(0, 1)], [text for _, text in round_ticks(0, 70)]
    (['0', '0.2', '0.4', '0.6', '0.8', '1'], ['0', '20', '40', '60'])
    """
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first
    return [((first + i) * step, f"{(first + i) * step:.6g}") for i in range(count + 1)]


@dataclass
class Chart:
    """A chart under construction: add lines, dots and bars, then ``svg()``."""

    title: str
    x: Axis
    y: Axis
    parts: list[str] = field(default_factory=list)
    legend: list[tuple[str, str, str]] = field(default_factory=list)

    def line(self, xs: Sequence[float], ys: Sequence[float], *, hue: str, name: str = "", dashed: bool = False) -> None:
        """Add a line through points."""
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(self._place, xs, ys))
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<polyline points="{points}" style="stroke:{hue}"{dash}>{_title(name)}</polyline>')
        if name:
            self.legend.append((name, hue, dash))

    def dot(self, x: float, y: float, *, hue: str, name: str = "", radius: float = 4) -> None:
        """Add a dot."""
        a, b = self._place(x, y)
        self.parts.append(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{radius:.1f}" style="fill:{hue}">{_title(name)}</circle>'
        )

    def svg(self) -> str:
        """Return the chart as markup."""
        legend, height = self._legend()
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img">{_title(self.title)}'
            f"{self._axes()}{''.join(self.parts)}{legend}</svg>"
        )

    def _legend(self) -> tuple[str, int]:
        """Return what each named line is, beneath the chart, and how high the whole is."""
        marks = []
        for i, (name, hue, dash) in enumerate(self.legend):
            x, y = 10 + (i % _LEGEND_COLUMNS) * (WIDTH // _LEGEND_COLUMNS), HEIGHT + 14 + 18 * (i // _LEGEND_COLUMNS)
            text = html.escape(name if len(name) <= _LEGEND_TEXT else f"{name[: _LEGEND_TEXT - 1]}…")
            marks.append(f'<line class="key" x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}" style="stroke:{hue}"{dash}/>')
            marks.append(f'<text class="legend" x="{x + 28}" y="{y + 4}">{text}</text>')
        rows = -(-len(self.legend) // _LEGEND_COLUMNS)
        return "".join(marks), HEIGHT + (18 * rows + 8 if rows else 0)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + self.x.share(x) * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - self.y.share(y) * (HEIGHT - _TOP - _BOTTOM),
        )

    def _axes(self) -> str:
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        texts = []
        for value, text in self.x.marks():
            at = self._place(value, self.y.low)[0]
            texts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
            texts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{html.escape(text)}</text>')
        for value, text in self.y.marks():
            at = self._place(self.x.low, value)[1]
            texts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            texts.append(f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{html.escape(text)}</text>')
        x_label, y_label = html.escape(self.x.label), html.escape(self.y.label)
        middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
        texts.append(f'<text class="axis" x="{middle_x}" y="{HEIGHT - 6}" text-anchor="middle">{x_label}</text>')
        texts.append(
            f'<text class="axis" transform="translate(13 {middle_y}) rotate(-90)" text-anchor="middle">{y_label}</text>'
        )
        return "".join(texts)


def _title(text: str) -> str:
    return f"<title>{html.escape(text)}</title>" if text else ""
