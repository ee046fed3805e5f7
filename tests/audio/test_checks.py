# SPDX-License-Identifier: Apache-2.0
"""The signal checks, on a handful of samples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.audio.checks import SignalCheck
from auricle.errors import InputError


def run(*blocks, expected=None, dtype=np.float32):
    """Push blocks, given as lists of frames, and return (mono, {code: details})."""
    arrays = [np.array(block, dtype).reshape(len(block), -1) for block in blocks]
    check = SignalCheck(arrays[0].shape[1], expected)
    mono = np.concatenate([check.push(array) for array in arrays])
    return mono, {flag.code: dict(flag.details) for flag in check.finish()}


def test_a_sound_signal_has_no_flag():
    mono, flags = run([0.1, -0.2, 0.3])
    assert mono.tolist() == pytest.approx([0.1, -0.2, 0.3])
    assert mono.dtype == np.float32
    assert flags == {}


def test_nonfinite_samples_become_zero_and_are_counted():
    values = [0.1] * 199 + [np.nan]
    mono, flags = run(values, [-0.1] * 199 + [-np.inf])
    assert flags == {"nonfinite": {"count": 2, "share": 2 / 400}}
    assert (mono[199], mono[399]) == (0, 0)


def test_exactly_one_percent_passes_and_more_fails():
    assert "nonfinite" in run([np.nan] + [0.1] * 98 + [0.2])[1]
    with pytest.raises(InputError, match=r"2 % of the samples are NaN or infinite, where 1 % are let pass; re-export"):
        run([np.nan, np.nan] + [0.1] * 97 + [0.2])


def test_a_hopeless_file_fails_before_its_end():
    check = SignalCheck(1, expected_frames=100)
    with pytest.raises(InputError, match="2 % of the samples"):
        check.push(np.full((2, 1), np.nan, np.float32))


def test_a_bad_start_of_a_long_file_does_not_fail_it():
    _, flags = run([np.nan, np.nan], [0.1, 0.2] * 200, expected=402)
    assert flags["nonfinite"]["count"] == 2


def test_double_is_judged_before_it_is_narrowed():
    with pytest.raises(InputError, match=r"samples of 1e\+300, where 1 is full scale and 1e\+10 the limit") as caught:
        run([0.0, -1e300], dtype=np.float64)
    assert caught.value.code == "out_of_range"


def test_denormal_numbers_are_silence():
    mono, flags = run([1e-41, -1e-41])
    assert mono.tolist() == [0, 0]
    assert flags == {"silent": {}}


def test_dc():
    assert run([0.25, 0.25], [0.25])[1] == {"dc_only": {"level": 0.25}}
    assert run([0.25, 0.25], [0.24])[1] == {}


def test_clipping_needs_runs_of_three():
    assert run([1.0, 0.0, 1.0, 1.0, 0.0])[1] == {}
    assert run([1.0, 1.0, 1.0, 0.0, -1.0, -1.0, -1.0, -1.0])[1] == {"clipped": {"share": 7 / 8}}


def test_clipping_needs_a_share():
    assert run([1.0] * 3 + [0.1] * 2997)[1] == {"clipped": {"share": 0.001}}
    assert run([1.0] * 3 + [0.1] * 2998)[1] == {}


def test_clipping_counts_each_channel():
    _, flags = run([[1.0, 0.1], [1.0, 0.2], [1.0, 0.3], [0.0, 0.4]])
    assert flags["clipped"] == {"share": 3 / 8}


def test_opposite_channels_cancel():
    mono, flags = run([[0.5, -0.5], [0.25, -0.25]])
    assert mono.tolist() == [0, 0]
    assert flags == {"channel_cancel": {"channels": 2, "lost_db": pytest.approx(120)}}


def test_a_dead_channel_costs_six_decibels():
    _, flags = run([[0.5, 0.0], [-0.25, 0.0]])
    assert flags["channel_cancel"]["lost_db"] == pytest.approx(6.02, abs=0.01)


def test_independent_channels_do_not_cancel():
    noise = np.random.default_rng(0).standard_normal((4_000, 2)) * 0.1
    assert run(noise)[1] == {}
