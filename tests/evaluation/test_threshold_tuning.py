# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.tuning.thresholds import MEDIANS_S, USUAL_S, fit_smoothing, fit_thresholds, peak_scores
from auricle.events.segments import find_segments, segment_rule


def fit(scores, targets, **more) -> float:
    (threshold,) = fit_thresholds(np.array(scores)[:, None], np.array(targets)[:, None], **more)
    return threshold


def test_peaks_are_the_highest_smoothed_scores():
    frames = np.array([[0, 0.1], [0.9, 0.1], [0, 0.4], [0.3, 0.5], [0.3, 0.6]], np.float32)
    assert peak_scores(frames, 1).tolist() == pytest.approx([0.9, 0.6])
    assert peak_scores(frames, 3).tolist() == pytest.approx([0.3, 0.6])
    assert peak_scores(frames[:0], 3).tolist() == [0, 0]


def test_peaks_of_events_that_need_several_frames():
    """A threshold t finds the event if all its frames reach half of t and one of them t."""
    frames = np.array([0, 0.3, 0.9, 0.3, 0.3, 0, 0.4, 0.4, 0.4], np.float32)[:, None]
    assert peak_scores(frames, 1, least_frames=3, off_ratio=0.5).tolist() == pytest.approx([0.6])
    assert peak_scores(frames, 1, least_frames=3).tolist() == pytest.approx([0.4])
    assert peak_scores(frames, 1, least_frames=10).tolist() == [0]
    for threshold, found in ((0.59, 1), (0.61, 0)):
        rule = segment_rule([threshold], off_ratio=0.5, min_event_s=0.3, max_gap_s=0, step_s=0.1)
        assert len(find_segments(frames, rule)) == found


STEP_S = 0.04


def smoothing_clips(active_frames: int, height: float, noise: float, seed: int = 0):
    """Thirty clips of one label, half of them with an event, over noise that spikes in single frames."""
    rng = np.random.default_rng(seed)
    clips = rng.uniform(0, noise, (30, 100, 1)).astype(np.float32)
    clips[:15, 40 : 40 + active_frames] = height
    return list(clips), np.repeat([[1], [0]], 15, axis=0)


def test_short_sounds_get_a_short_filter_and_steady_ones_the_longest():
    barks = fit_smoothing(*smoothing_clips(2, 0.94, 0.2), ["bark"], STEP_S)
    assert barks.medians_s["bark"] in (0.0, 0.12)
    assert 0.15 < barks.thresholds["bark"] < 0.94
    rain = fit_smoothing(*smoothing_clips(60, 0.7, 0.2), ["rain"], STEP_S)
    assert rain.medians_s == {"rain": max(MEDIANS_S)}


def test_noise_in_single_frames_asks_for_a_filter():
    """Spikes are as high as the sound, which is longer: without a filter no threshold tells them apart."""
    clips, targets = smoothing_clips(12, 0.8, 0.3)
    for clip in clips:
        clip[10] = 0.95
    found = fit_smoothing(clips, targets, ["a"], STEP_S)
    assert found.medians_s["a"] >= 0.12
    assert 0.3 <= found.thresholds["a"] <= 0.8


def test_a_shorter_filter_may_not_cost_false_alarms():
    """Without a filter one more clip is found at the price of an alarm: F1 rises, and it is not taken all the same."""
    clips, targets = smoothing_clips(60, 0.9, 0.1)
    clips[0][:] = 0.05
    clips[0][50:52] = 0.9  # a true sound of two frames
    clips[-1][50:52] = 0.95  # and a false one
    found = fit_smoothing(clips, targets, ["a"], STEP_S)
    assert found.medians_s["a"] >= USUAL_S


def test_labels_that_all_clips_or_none_have_keep_the_usual_filter():
    clips, _ = smoothing_clips(60, 0.9, 0.1)
    for targets in (np.ones((30, 1)), np.zeros((30, 1))):
        found = fit_smoothing(clips, targets, ["a"], STEP_S)
        assert (found.medians_s, found.thresholds) == ({"a": USUAL_S}, {"a": 0.5})


def test_the_middle_of_the_gap_is_taken():
    assert fit([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]) == pytest.approx(0.4)
    # one true clip scores below a false one: giving it up costs less than two false alarms
    assert fit([0.1, 0.3, 0.35, 0.4, 0.8, 0.9], [0, 1, 0, 0, 1, 1]) == pytest.approx(0.6)


def test_of_equally_good_gaps_the_widest_is_taken():
    # thresholds 0.15 (hits 2, alarms 1) and 0.65 (hits 1, alarms 0) have F1 0.8 and 2/3
    assert fit([0.1, 0.2, 0.3, 0.9], [0, 1, 0, 1]) == pytest.approx(0.15)
    # F1 is 2/3 below 0.2 (1 hit of 1, 1 alarm) wherever the threshold stands
    assert fit([0.6, 0.6], [0, 1]) == pytest.approx(0.3)


def test_thresholds_stay_within_bounds_and_need_both_kinds():
    assert fit([0.001, 0.02], [0, 1]) == 0.05
    assert fit([0.99, 0.999], [0, 1]) == 0.95
    assert fit([0.9, 0.8], [1, 1]) == 0.5
    assert fit([0.9, 0.8], [0, 0]) == 0.5


def test_each_label_for_itself_and_f1_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 4)) < 0.4).astype(int)
    scores = np.clip(0.3 * targets + rng.normal(0.4, 0.2, targets.shape), 0.06, 0.94).round(2)
    for column, threshold in enumerate(fit_thresholds(scores, targets)):

        def f1(at: float, s=scores[:, column], t=targets[:, column]) -> float:
            return 2 * ((s >= at) & (t == 1)).sum() / ((s >= at).sum() + t.sum())

        assert f1(threshold) == pytest.approx(max(f1(at) for at in np.linspace(0, 1, 1001)))
        assert fit(scores[:, column], targets[:, column]) == threshold


@pytest.mark.parametrize(
    ("peaks", "targets", "text"),
    [
        (np.zeros((2, 1)), np.zeros((1, 1)), r"one shape \(clip, label\), got \(2, 1\) and \(1, 1\)"),
        (np.zeros(2), np.zeros(2), r"one shape \(clip, label\), got \(2,\) and \(2,\)"),
        (np.array([[1.5]]), np.array([[1]]), r"peaks must lie in \[0, 1\]"),
        (np.array([[np.nan]]), np.array([[1]]), r"peaks must lie in \[0, 1\]"),
        (np.array([[0.5]]), np.array([[0.5]]), "targets must be 0 or 1"),
    ],
)
def test_impossible_input_is_refused(peaks, targets, text):
    with pytest.raises(ValueError, match=text):
        fit_thresholds(peaks, targets)
