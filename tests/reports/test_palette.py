# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.reports.palette import HUES, hue_of, loudness_scale


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, "contrast ratio", written down once more."""

    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


def test_hues_repeat_after_the_last():
    assert hue_of(0) == HUES[0]
    assert hue_of(len(HUES) + 1) == HUES[1]
    assert len(set(HUES)) == len(HUES)


@pytest.mark.parametrize("hue", HUES)
@pytest.mark.parametrize("card", ["#ffffff", "#1f1e21"])
def test_a_curve_stands_out_on_light_and_dark_pages(hue, card):
    assert contrast(hue, card) >= 2


def test_louder_is_brighter():
    scale = loudness_scale()
    assert scale.shape == (256, 3)
    brightness = scale @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) >= -1e-9).all()
    assert brightness[0] < 10
    assert brightness[-1] > 220
