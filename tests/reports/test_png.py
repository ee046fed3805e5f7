# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from auricle.reports.png import encode_png

PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 7)], axis=1).astype(np.uint8)


def decode(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_reader_sees_the_colours_that_were_written():
    pixels = np.random.default_rng(0).integers(0, 256, (13, 29)).astype(np.uint8)
    assert np.array_equal(decode(encode_png(pixels, PALETTE)), PALETTE[pixels])


def test_one_pixel():
    assert decode(encode_png(np.array([[3]], np.uint8), PALETTE)).tolist() == [[[3, 252, 7]]]


@pytest.mark.parametrize(
    ("pixels", "palette", "text"),
    [
        (np.zeros((2, 2)), PALETTE, "pixels must be bytes of shape (row, column), got float64 (2, 2)"),
        (np.zeros((0, 2), np.uint8), PALETTE, "got uint8 (0, 2)"),
        (np.zeros(4, np.uint8), PALETTE, "got uint8 (4,)"),
        (np.zeros((2, 2), np.uint8), PALETTE[:4], "the palette must be bytes of shape (256, 3), got uint8 (4, 3)"),
    ],
)
def test_other_arrays_are_refused(pixels, palette, text):
    with pytest.raises(ValueError) as caught:
        encode_png(pixels, palette)
    assert text in str(caught.value)
