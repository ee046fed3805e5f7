# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from auricle.events import smoothing
from auricle.events.smoothing import MedianBank, MedianStream, median_size, median_smooth, median_valid


def reference(scores: np.ndarray, size: int) -> np.ndarray:
    """Slow and obvious: sort every window."""
    half = size // 2
    padded = np.pad(scores, ((half, half), (0, 0)), mode="symmetric")
    return np.stack([np.sort(padded[i : i + size], axis=0)[half] for i in range(len(scores))])


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_by_hand():
    assert median_smooth(column(0, 9, 0, 0, 5, 6, 7), 3)[:, 0].tolist() == [0, 0, 0, 0, 5, 6, 7]
    # mirrored at the edges: 2 1 | 1 2 3 4 | 4 3
    assert median_smooth(column(1, 2, 3, 4), 5)[:, 0].tolist() == [2, 2, 3, 3]
    same = column(3, 1, 2)
    assert median_smooth(same, 1) is same
    assert median_smooth(same[:0], 3).shape == (0, 1)
    assert median_valid(column(3, 1, 2), 3).tolist() == [[2]]
    assert median_valid(column(3, 1), 3).shape == (0, 1)


@pytest.mark.parametrize("size", [*range(1, 40, 2), 51, 101])
def test_equals_the_reference_at_any_length(size):
    rng = np.random.default_rng(size)
    for frames in (1, 2, 3, 7, 20, 130):
        scores = rng.random((frames, 3)).astype(np.float32).round(1)
        np.testing.assert_array_equal(median_smooth(scores, size), reference(scores, size))


def test_equals_scipy_across_blocks(monkeypatch):
    scores = np.random.default_rng(0).random((500, 7)).astype(np.float32)
    for block in (1, 10, 300, 10_000):
        monkeypatch.setattr(smoothing, "_BLOCK_SCORES", block)
        np.testing.assert_array_equal(median_smooth(scores, 9), median_filter(scores, (9, 1), mode="reflect"))


@given(
    frames=st.integers(0, 40),
    half=st.integers(0, 9),
    cuts=st.lists(st.integers(0, 40), max_size=10),
    seed=st.integers(0, 99),
)
def test_a_stream_equals_the_whole(frames, half, cuts, seed):
    scores = np.random.default_rng(seed).random((frames, 2)).astype(np.float32)
    stream = MedianStream(2 * half + 1, 2)
    assert stream.lookahead == half
    given_out = []
    pushed = 0
    for block in np.split(scores, sorted(min(cut, frames) for cut in cuts)):
        given_out.append(stream.push(block))
        pushed += len(block)
        assert sum(map(len, given_out)) == max(0, pushed - half), "no more is held back than needed"
    given_out.append(stream.flush())
    np.testing.assert_array_equal(np.concatenate(given_out), median_smooth(scores, 2 * half + 1))


def test_sizes():
    assert [median_size(s, 0.1) for s in (0, 0.05, 0.1, 0.19, 0.3, 0.42, 0.5)] == [1, 1, 1, 1, 3, 5, 5]
    for size in (0, 2, -1):
        with pytest.raises(ValueError, match=f"the median needs an odd number of frames, got {size}"):
            median_smooth(column(1), size)
        with pytest.raises(ValueError, match="odd number of frames"):
            MedianStream(size, 1)


@given(
    sizes=st.lists(st.sampled_from([1, 3, 5, 9]), min_size=1, max_size=4),
    frames=st.integers(0, 30),
    cuts=st.lists(st.integers(0, 30), max_size=10),
)
def test_each_label_has_its_own_filter_and_all_come_out_together(sizes, frames, cuts):
    scores = np.random.default_rng(frames).random((frames, len(sizes))).astype(np.float32)
    bank = MedianBank(sizes)
    assert bank.lookahead == max(sizes) // 2
    parts = [bank.push(part) for part in np.split(scores, sorted(cuts))]
    assert sum(map(len, parts)) <= max(0, frames - (bank.lookahead if len(set(sizes)) > 1 else 0))
    expected = [median_smooth(scores[:, [i]], size) for i, size in enumerate(sizes)]
    np.testing.assert_array_equal(np.concatenate([*parts, bank.flush()]), np.concatenate(expected, axis=1))


@given(seed=st.integers(0, 200), size=st.sampled_from([1, 3, 5]), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_labels_that_stay_below_are_let_through(seed, size, cuts):
    """Those that reach ``least`` anywhere near are smoothed; the others come as they were, and stay below."""
    rng = np.random.default_rng(seed)
    scores = rng.random((60, 4), np.float32) * np.array([0.1, 0.4, 0.8, 1.0], np.float32)
    least = np.array([0.5, 0.5, 0.5, -np.inf], np.float32)
    stream, whole = MedianStream(size, 4), median_smooth(scores, size)
    parts = [stream.push(part, least) for part in np.split(scores, sorted(cuts))]
    found = np.concatenate([*parts, stream.flush()])
    assert found.shape == whole.shape
    assert np.array_equal(found[:, 3], whole[:, 3])
    assert np.array_equal(np.where(whole >= least, whole, 0), np.where(found >= least, found, 0))


def test_filters_of_several_sizes_smooth_all():
    scores = np.random.default_rng(0).random((40, 2), np.float32)
    bank, least = MedianBank([1, 5]), np.full(2, 2, np.float32)
    found = np.concatenate([bank.push(scores, least), bank.flush()])
    assert np.array_equal(found, np.stack([scores[:, 0], median_smooth(scores[:, 1:], 5)[:, 0]], axis=1))
