# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.runtime.windows import MarginCutter, WindowCutter, cut_windows


def test_windows_reach_the_end_and_the_last_is_padded():
    samples = np.arange(1, 8, dtype=np.float32)
    assert cut_windows(samples, 4, 2, "zero").tolist() == [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 0]]
    assert cut_windows(samples, 4, 2, "repeat").tolist()[-1] == [5, 6, 7, 5]
    assert cut_windows(samples[:6], 4, 2, "zero").tolist() == [[1, 2, 3, 4], [3, 4, 5, 6]]
    assert cut_windows(samples[:1], 4, 4, "repeat").tolist() == [[1, 1, 1, 1]]


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match=r"at least one, got shape \(0,\)"):
        cut_windows(np.zeros(0, np.float32), 4, 2, "zero")
    with pytest.raises(ValueError, match=r"at least one, got shape \(2, 2\)"):
        cut_windows(np.zeros((2, 2), np.float32), 4, 2, "zero")
    with pytest.raises(ValueError, match="need 1 <= hop <= window, got window 4 and hop 5"):
        WindowCutter(4, 5, "zero")


@given(
    length=st.integers(1, 60),
    window=st.integers(1, 12),
    hop=st.integers(1, 12),
    pad=st.sampled_from(["zero", "repeat"]),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_any_blocks_give_the_windows_of_the_whole(length, window, hop, pad, cuts):
    hop = min(hop, window)
    samples = np.arange(1, length + 1, dtype=np.float32)
    cutter = WindowCutter(window, hop, pad)
    found = []
    for block in np.split(samples, sorted(min(cut, length) for cut in cuts)):
        found += cutter.push(block)
        assert cutter._kept.base is None, "a view would keep the whole block alive"
    found += cutter.flush()
    np.testing.assert_array_equal(np.stack(found), cut_windows(samples, window, hop, pad))
    assert cutter.samples_seen == length


def test_a_cutter_without_samples_gives_nothing():
    cutter = WindowCutter(4, 2, "zero")
    assert cutter.push(np.zeros(0, np.float32)) == []
    assert cutter.flush() == []


def test_the_cutter_says_when_its_next_window_is_complete():
    cutter = WindowCutter(4, 3, "zero")
    assert cutter.samples_to_next == 4
    assert cutter.push(np.zeros(3, np.float32)) == []
    assert cutter.samples_to_next == 1
    assert len(cutter.push(np.zeros(1, np.float32))) == 1
    assert cutter.samples_to_next == 3


def margin_windows(samples: np.ndarray, hop: int, margin: int) -> list[list[float]]:
    """The rule said otherwise: parts of ``hop``, the last of which keeps a rest that its margin holds already."""
    starts = [0]
    while len(samples) - starts[-1] > hop + margin:
        starts.append(starts[-1] + hop)
    ends = [*(start + hop + margin for start in starts[:-1]), len(samples)]
    return [samples[max(0, a - margin) : b].tolist() for a, b in zip(starts, ends, strict=True)]


def test_windows_side_by_side_by_hand():
    samples = np.arange(1, 11, dtype=np.float32)
    cutter = MarginCutter(4, 1, 1)
    assert [w.tolist() for w in cutter.push(samples)] == [[1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9]]
    assert [w.tolist() for w in cutter.flush()] == [[8, 9, 10]]
    short = MarginCutter(4, 1, 3)
    assert short.push(samples[:2]) == []
    assert [w.tolist() for w in short.flush()] == [[1, 2, 0]]
    assert MarginCutter(4, 1, 3).flush() == []


@pytest.mark.parametrize(("hop", "margin"), [(0, 1), (4, 0), (4, 5)])
def test_impossible_margins_are_refused(hop, margin):
    with pytest.raises(ValueError, match=f"0 < margin <= hop, got hop {hop} and margin {margin}"):
        MarginCutter(hop, margin, 1)


@given(
    length=st.integers(1, 60),
    hop=st.integers(1, 12),
    margin=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_any_blocks_give_the_windows_with_margins_of_the_whole(length, hop, margin, cuts):
    margin = min(margin, hop)
    samples = np.arange(1, length + 1, dtype=np.float32)
    cutter = MarginCutter(hop, margin, 1)
    found = []
    for block in np.split(samples, sorted(min(cut, length) for cut in cuts)):
        wait = cutter.samples_to_next
        fresh = cutter.push(block)
        assert bool(fresh) == (len(block) >= wait)
        assert cutter._kept.base is None, "a view would keep the whole block alive"
        found += fresh
    found += cutter.flush()
    assert [w.tolist() for w in found] == margin_windows(samples, hop, margin)
