# SPDX-License-Identifier: Apache-2.0
"""Colours of pages: hues that colour-blind readers can tell apart, and a scale from quiet to loud."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: The hues of Okabe and Ito, "Color Universal Design" (2008), without black and yellow, which vanish on a dark or a
#: light page, and six that stand apart from them: those of the page about a recording (``webpage/colours.js``).
HUES = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#7a4fbf", "#8c6d1f", "#c2185b", "#2f6f6f", "#8a9a2b", "#7d5a4a"),
)

#: From black through purple and orange to pale yellow: brighter is louder, also in print and to every eye.
_LOUDNESS = (
    (4, 2, 14),
    (28, 16, 68),
    (79, 18, 123),
    (129, 37, 129),
    (181, 54, 122),
    (229, 80, 100),
    (251, 135, 97),
    (254, 194, 135),
    (252, 253, 191),
)


def hue_of(index: int) -> str:
    """Return the colour of the label in place ``index``; hues repeat, as every label also has its own row."""
    return HUES[index % len(HUES)]


def loudness_scale() -> npt.NDArray[np.uint8]:
    """Return 256 colours from quiet to loud, shape ``(256, 3)``."""
    anchors = np.array(_LOUDNESS, np.float64)
    places = np.linspace(0, 255, len(anchors))
    return (
        np.stack([np.interp(np.arange(256), places, column) for column in anchors.T], axis=1).round().astype(np.uint8)
    )
