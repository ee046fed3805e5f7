# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import LABELS, RATE, loudness_graph, make_bundle

from auricle.audio.decode import Limits
from auricle.errors import InputError, UsageError
from auricle.runtime.bundle import add_files
from auricle.runtime.detector import Detector, load
from auricle.runtime.onnx_session import open_network
from auricle.timeline import window_starts


@pytest.fixture
def tiny(tmp_path):
    def make(**changes) -> Detector:
        bundle = make_bundle(tmp_path / "tiny", **changes)
        return Detector(bundle, open_network(bundle))

    return make


def steps(*levels: float, samples: int = 100) -> np.ndarray:
    """Frames of constant level, one each: their scores are the levels."""
    return np.repeat(np.array(levels, np.float32), samples)


def as_dict(result) -> dict[str, float]:
    return {score.label: score.score for score in result.scores}


# --- tag


def test_tag_of_one_window_is_the_mean_level(tiny):
    result = tiny().tag(steps(*[0.2] * 5, *[0.4] * 5), RATE)
    assert as_dict(result) == pytest.approx({"loud": 0.3, "quiet": 0.7})
    assert [s.label for s in result.scores] == ["quiet", "loud"]
    assert (result.path, result.duration, result.flags, result.error) == ("", 1.0, (), None)


def test_only_the_highest_scores_are_returned_where_so_many_are_asked_for(tiny):
    detector, samples = tiny(), np.full(2_000, 0.75, np.float32)
    every = detector.tag(samples, RATE).scores
    assert detector.tag(samples, RATE, top=1).scores == every[:1]
    assert detector.tag(samples, RATE, top=9).scores == every
    with pytest.raises(UsageError, match="top is 0; at least one score is returned"):
        detector.tag(samples, RATE, top=0)


def test_a_short_clip_is_padded_by_the_rule_and_flagged(tiny):
    clip = np.full(50, 0.8, np.float32)
    zero = tiny(pad="zero").tag(clip, RATE)
    assert as_dict(zero)["loud"] == pytest.approx(0.8 * 50 / 1000)
    assert [f.to_dict() for f in zero.flags if f.code == "too_short"] == [
        {"code": "too_short", "samples": 50, "needed": 100}
    ]
    repeat = tiny(pad="repeat").tag(clip, RATE)
    assert as_dict(repeat)["loud"] == pytest.approx(0.8)
    one = tiny(pad="repeat").tag(np.array([0.6], np.float32), RATE)
    assert as_dict(one)["loud"] == pytest.approx(0.6)


@pytest.mark.parametrize(("aggregate", "expected"), [("mean", 0.4), ("max", 0.7)])
def test_windows_are_aggregated(tiny, aggregate, expected):
    clip = np.concatenate([steps(*[0.1] * 10), steps(*[0.7] * 10)])
    detector = tiny(aggregate=aggregate)
    # windows: [0, 1) = 0.1, [0.5, 1.5) = 0.4, [1, 2) = 0.7
    assert as_dict(detector.tag(clip, RATE))["loud"] == pytest.approx(expected)


def test_of_recordings_longer_than_a_window_the_share_of_time_is_told(tiny):
    """Thresholds are 0.5, which counts; 4 of 12 frames are loud, 9 are quiet (one is both)."""
    clip = steps(*[0.1] * 8, *[0.9] * 3, 0.5)
    for layout in ({}, {"window_s": 1.0, "hop_s": 0.6, "margin_s": 0.2}):
        result = tiny(**layout).tag(clip, RATE)
        assert {s.label: s.share for s in result.scores} == pytest.approx({"loud": 4 / 12, "quiet": 9 / 12})
        assert result.to_dict()["scores"][0]["share"] == 0.75
        assert result.columns()["share"] == pytest.approx([0.75, 0.333333], abs=1e-5)


def test_of_recordings_of_one_window_the_scores_are_enough(tiny):
    for detector in (tiny(), tiny(frames=None)):
        result = detector.tag(steps(*[0.9] * 10), RATE)
        assert [s.share for s in result.scores] == [None, None]
        assert all(set(row) == {"label", "score"} for row in result.to_dict()["scores"])
    assert tiny(frames=None).tag(steps(*[0.9] * 30), RATE).scores[0].share is None


def test_mean_logit_averages_log_odds(tiny):
    clip = np.concatenate([steps(*[0.1] * 10), steps(*[0.7] * 10)])
    odds = np.mean([np.log(p / (1 - p)) for p in (0.1, 0.4, 0.7)])
    found = as_dict(tiny(aggregate="mean_logit").tag(clip, RATE))["loud"]
    assert found == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)


def test_mean_logit_of_a_single_label_task_is_normalised(tiny):
    clip = np.concatenate([steps(*[0.1] * 10), steps(*[0.7] * 10)])
    loud = np.exp(np.mean(np.log([0.1, 0.4, 0.7])))
    quiet = np.exp(np.mean(np.log([0.9, 0.6, 0.3])))
    found = as_dict(tiny(aggregate="mean_logit", task="single").tag(clip, RATE))
    assert found == pytest.approx({"loud": loud / (loud + quiet), "quiet": quiet / (loud + quiet)}, abs=1e-6)
    # With an unseen "none" of share 1 - 0.1 - 0.9 = 0, it takes next to nothing.
    with_none = as_dict(tiny(aggregate="mean_logit", task="single", negatives=True).tag(clip, RATE))
    assert with_none == pytest.approx(found, abs=1e-5)


def test_calibration_changes_clip_scores_only(tiny):
    clip = steps(*[0.2] * 10)
    plain, half = tiny(), tiny(calibration={"method": "temperature", "temperature": 0.5})
    odds = 2 * np.log(0.2 / 0.8)
    assert as_dict(half.tag(clip, RATE))["loud"] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)
    np.testing.assert_array_equal(half.frames(clip, RATE).values, plain.frames(clip, RATE).values)


# --- frames


def test_frames_are_averaged_where_windows_overlap_and_reach_the_end(tiny):
    levels = np.linspace(0, 1, 23, dtype=np.float32)
    scores = tiny().frames(np.append(steps(*levels), np.float32(0.5)), RATE)
    # 2301 samples: the last frame [2300, 2400) has its centre beyond the end and is dropped.
    np.testing.assert_allclose(scores.values[:, 0], levels, atol=1e-6)
    np.testing.assert_allclose(scores.values[:, 1], 1 - levels, atol=1e-6)
    np.testing.assert_allclose(scores.times, 0.05 + 0.1 * np.arange(23), rtol=1e-6)
    assert (scores.labels, scores.step_s) == (LABELS, 0.1)


def reference_frames(detector: Detector, samples: np.ndarray) -> np.ndarray:
    """Slow and obvious: each window alone, all frames on one table, means of what is there, gaps from before."""
    spec, network = detector.spec, detector._network
    total = spec.grid.frames_before(len(samples))
    table: list[list[np.ndarray]] = [[] for _ in range(total + 1000)]
    for start in window_starts(len(samples), spec.window_samples, spec.hop_samples, spec.slack_samples).tolist():
        part = samples[start : start + spec.window_samples]
        window = np.pad(part, (0, spec.window_samples - len(part)))
        frames = network.run(window[None].astype(np.float32), frozenset({"frames"})).frames[0]
        first = int(start / spec.grid.hop_samples + 0.5)
        for i, frame in enumerate(frames):
            table[first + i].append(frame)
    result = []
    for cell in table[:total]:
        result.append(np.mean(cell, axis=0) if cell else result[-1])
    return np.array(result)


@pytest.mark.parametrize(("window_s", "hop_s"), [(1.0, 0.5), (1.0, 1.0), (0.73, 0.37), (0.35, 0.35), (1.0, 0.13)])
def test_frames_equal_the_reference_also_off_the_grid(tiny, window_s, hop_s):
    rng = np.random.default_rng(3)
    detector = tiny(window_s=window_s, hop_s=hop_s)
    for length in (1, 49, 51, 340, 999, 1000, 1001, 4321):
        samples = rng.uniform(0, 1, length).astype(np.float32)
        expected = reference_frames(detector, samples)
        found = detector.frames(samples, RATE).values
        assert found.shape == (detector.spec.grid.frames_before(length), 2)
        np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-6)


# --- detect


def test_detect_finds_events_with_times(tiny):
    clip = steps(*[0] * 10, *[0.9] * 5, *[0] * 10)
    result = tiny().detect(clip, RATE)
    assert [(e.label, e.onset, e.offset) for e in result.events] == [
        ("quiet", 0.0, pytest.approx(1.0)),
        ("loud", pytest.approx(1.0), pytest.approx(1.5)),
        ("quiet", pytest.approx(1.5), 2.5),
    ]
    assert result.events[1].score == pytest.approx(0.9)
    assert result.flags == ()


def test_events_end_with_the_recording(tiny):
    result = tiny(thresholds={"loud": 0.4, "quiet": 1.0}).detect(np.full(1270, 0.8, np.float32), RATE)
    assert [(e.label, e.onset, e.offset) for e in result.events] == [("loud", 0.0, 1.27)]


def test_postprocessing_smooths_fills_and_drops(tiny):
    levels = [0, 0, 0.9, 0, 0, 0, 0.8, 0.8, 0.8, 0, 0, 0.8, 0.8, 0.8, 0.8, 0, 0, 0, 0, 0]
    never = {"loud": 0.5, "quiet": 1.0}

    def events(**post):
        found = tiny(thresholds=never, postprocess=post).detect(steps(*levels), RATE).events
        return [(round(e.onset, 3), round(e.offset, 3)) for e in found if e.label == "loud"]

    assert events() == [(0.2, 0.3), (0.6, 0.9), (1.1, 1.5)]
    assert events(median_s=0.3) == [(0.6, 0.9), (1.1, 1.5)]
    assert events(max_gap_s=0.2) == [(0.2, 0.3), (0.6, 1.5)]
    assert events(min_event_s=0.4) == [(1.1, 1.5)]
    assert events(min_event_s=0.4, max_gap_s=0.2) == [(0.6, 1.5)]


def test_thresholds_can_be_given(tiny):
    detector, clip = tiny(), steps(*[0.3] * 10)
    assert [e.label for e in detector.detect(clip, RATE).events] == ["quiet"]
    assert {e.label for e in detector.detect(clip, RATE, threshold=0.2).events} == {"loud", "quiet"}
    assert {e.label for e in detector.detect(clip, RATE, threshold={"loud": 0.2}).events} == {"loud", "quiet"}
    with pytest.raises(UsageError, match=r"tiny has no label 'lout' \(did you mean 'loud'\?\)"):
        detector.detect(clip, RATE, threshold={"lout": 0.2})
    with pytest.raises(UsageError, match=r"the threshold of 'loud' is 1.5; scores and thresholds lie in \[0, 1\]"):
        detector.detect_many([clip], RATE, threshold=1.5)


def test_a_model_without_frames_detects_with_its_windows(tiny):
    detector = tiny(frames=None, hop_s=1.0, thresholds={"loud": 0.5, "quiet": 1.0})
    result = detector.detect(steps(*[0.1] * 10, *[0.8] * 10, *[0.9] * 3), RATE)
    # Windows [0,1) = 0.1, [1,2) = 0.8, [2,3) = 0.27 after padding.
    assert [(e.label, e.onset, e.offset) for e in result.events] == [("loud", 1.0, 2.0)]
    assert [f.to_dict() for f in result.flags] == [{"code": "window_resolution", "hop_s": 1.0}]
    whole = tiny(frames=None, pad="repeat", window_s=0.4, hop_s=0.3).detect(np.full(110, 0.7, np.float32), RATE)
    assert [(e.label, e.onset, e.offset) for e in whole.events] == [("loud", 0.0, 0.11)]


# --- embed


def test_embed_is_the_mean_over_windows(tiny):
    clip = np.concatenate([steps(*[0.1] * 10), steps(*[0.7] * 10)])
    detector = tiny()
    result = detector.embed(clip, RATE)
    np.testing.assert_allclose(result.embedding, [0.4, (0.1 + 0.7 + 0.7) / 3, (0.1 + 0.1 + 0.7) / 3], atol=1e-6)
    assert detector.embedding_size == 3
    assert [r.embedding.tolist() for r in detector.embed_many([clip], RATE)] == [result.embedding.tolist()]


def test_embed_needs_the_output(tmp_path):
    bundle = make_bundle(tmp_path / "m", graph=loudness_graph(embedding=False))
    detector = Detector(bundle, open_network(bundle))
    for use in (lambda: detector.embed(np.zeros(9, np.float32), RATE), lambda: detector.embedding_size):
        with pytest.raises(UsageError, match="tiny has no output 'embedding'; export it again"):
            use()


# --- inputs


def test_file_object_path_and_array_agree(tiny, tmp_path, encode):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 4_410).astype(np.float32)
    data = encode(samples, 4_410, subtype="FLOAT")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    detector = tiny()
    by_path, by_object = detector.tag(path), detector.tag(io.BytesIO(data))
    by_array = detector.tag(samples, 4_410)
    assert by_path.scores == by_object.scores == by_array.scores
    assert by_path.path == str(path)
    assert by_object.path == ""
    assert by_path.duration == by_array.duration == 1.0
    assert detector.detect(path).events == detector.detect(samples, 4_410).events


def test_channels_are_averaged(tiny):
    both = np.stack([steps(*[0.2] * 10), steps(*[0.6] * 10)], axis=1)
    assert as_dict(tiny().tag(both, RATE))["loud"] == pytest.approx(0.4)


def test_int16_has_one_full_scale(tiny):
    whole = np.round(32_768 * steps(*[0.25] * 10)).astype(np.int16)
    assert as_dict(tiny().tag(whole, RATE))["loud"] == 0.25


def test_channels_may_be_rows_where_they_can_be_nothing_else(tiny):
    both = np.stack([steps(*[0.2] * 10), steps(*[0.6] * 10)])
    assert both.shape == (2, 1_000)
    assert as_dict(tiny().tag(both, RATE))["loud"] == pytest.approx(0.4)
    square = np.full((64, 2), 0.5, np.float32)  # 64 samples of 2 channels, as the documents say
    assert tiny().tag(square, RATE).duration == 0.064


def test_tensors_and_what_is_an_array_are_taken(tiny):
    torch = pytest.importorskip("torch")
    samples = steps(*[0.25] * 10)
    tensor = torch.from_numpy(samples).requires_grad_()
    for x in (
        tensor,
        tensor[None],
        tensor.to(torch.bfloat16),
        torch.from_numpy(np.int16(32_768 * samples)),
        Wrapped(samples),
    ):
        result = tiny().tag(x, RATE)
        assert as_dict(result)["loud"] == pytest.approx(0.25)
        assert (result.path, result.origin) == ("", None)


class Wrapped:
    """What other libraries bring: it says how it becomes an array."""

    def __init__(self, samples):
        self.samples = samples

    def __array__(self, dtype=None, copy=None):
        return self.samples


def test_bytes_of_a_file_are_that_file_and_bytes_of_a_name_that_name(tiny, tmp_path, encode):
    content = encode(steps(*[0.25] * 10), RATE, subtype="FLOAT")
    (tmp_path / "a.wav").write_bytes(content)
    for x in (content, bytearray(content), memoryview(content), bytes(tmp_path / "a.wav")):
        assert as_dict(tiny().tag(x))["loud"] == pytest.approx(0.25)
    with pytest.raises(UsageError, match="sample_rate is for arrays"):
        tiny().tag(content, RATE)


def test_impossible_arrays_are_input_errors(tiny):
    detector = tiny()
    cases = [
        (np.zeros(0, np.float32), RATE, "no_audio", "the array holds no sample"),
        (
            np.zeros(9, np.int32),
            RATE,
            "bad_array",
            r"type int32, whose full scale is not known; expected int16 or floats in \[-1, 1\] \(int32: divide by",
        ),
        (np.zeros((2, 2, 2)), RATE, "bad_array", r"shape \(2, 2, 2\); expected \(time,\) or \(time, channel\)"),
        (np.zeros((65, 900)), RATE, "too_many_channels", "900 channels; from 1 to 64 are accepted"),
        (np.zeros((900, 65)), RATE, "too_many_channels", "65 channels; from 1 to 64 are accepted"),
        (np.zeros(9), 500, "rate_out_of_range", "a sample rate of 500 Hz; whole numbers from 1000 to 768000"),
        (np.full(9, np.nan), RATE, "nonfinite", "NaN or infinite"),
        (np.full(9, 1e12), RATE, "out_of_range", "1e"),
    ]
    for samples, rate, code, text in cases:
        with pytest.raises(InputError, match=text) as caught:
            detector.tag(samples, rate)
        assert caught.value.code == code


def test_wrong_use_is_said(tiny, tmp_path):
    detector = tiny()
    with pytest.raises(UsageError, match=r"an array needs its sample rate: tag\(samples, sample_rate=48000\)"):
        detector.tag(np.zeros(9, np.float32))
    with pytest.raises(UsageError, match="sample_rate is for arrays; a file states its own rate"):
        detector.tag(tmp_path / "a.wav", 16_000)
    with pytest.raises(UsageError, match="got list; expected a path, a binary file object, bytes or an array"):
        detector.tag([0.0, 1.0])


# --- many


@pytest.mark.parametrize("jobs", [1, 3])
def test_one_bad_file_stops_nothing(tiny, tmp_path, encode, jobs):
    good, empty = tmp_path / "good.wav", tmp_path / "empty.wav"
    good.write_bytes(encode(steps(*[0.2] * 10), RATE, subtype="FLOAT"))
    empty.write_bytes(b"")
    names = [str(good), str(empty), str(tmp_path / "gone.wav"), str(good)] * 5
    results = list(tiny().tag_many(names, jobs=jobs))
    assert [r.path for r in results] == names
    assert [r.error and r.error.code for r in results] == [None, "empty_file", "not_found", None] * 5
    assert results[0].scores == results[3].scores
    assert results[1].to_dict()["scores"] == []
    events = list(tiny().detect_many(names[:3], jobs=jobs))
    assert [len(e.events) for e in events] == [1, 0, 0]


def test_an_unexpected_error_becomes_internal_and_wrong_use_does_not(tiny):
    class Broken(io.BytesIO):
        name = "broken\ud800.wav"

        def seekable(self):
            raise RuntimeError("two\nlines")

    (result,) = tiny().tag_many([Broken()])
    assert result.error.to_dict() == {"code": "internal", "message": "RuntimeError: two lines"}
    assert result.path == "broken\\ud800.wav"
    with pytest.raises(UsageError, match="an array needs its sample rate"):
        list(tiny().tag_many([np.zeros(9, np.float32)]))
    with pytest.raises(UsageError, match="jobs must be at least 1, got 0"):
        tiny().tag_many([], jobs=0)


def test_stopping_early_leaves_no_thread_waiting(tiny):
    clips = iter([steps(*[0.1] * 10)] * 50)
    results = tiny().tag_many(clips, RATE, jobs=2)
    assert as_dict(next(results))["loud"] == pytest.approx(0.1)
    results.close()
    assert len(list(clips)) > 40


# --- memory, precision


def test_memory_does_not_grow_with_length(tiny, tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8_000, np.float32))
    detector = tiny(window_s=5.0, hop_s=5.0)
    detector.detect(np.zeros(9_000, np.float32), RATE)
    tracemalloc.start()
    result = detector.detect(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.duration == 3600
    assert [(e.label, e.onset, e.offset) for e in result.events] == [("quiet", 0, 3600)]
    assert peak < 8e6  # an hour at 8 kHz alone is 115 MB of float32


def test_int8_is_taken_when_asked_for(tmp_path):
    bundle = make_bundle(tmp_path / "m")
    with pytest.raises(UsageError, match="has no int8 form; make it with `auricle export"):
        load(tmp_path / "m", precision="int8")
    with pytest.raises(UsageError, match="unknown precision 'int4'; there are float32, int8"):
        load(tmp_path / "m", precision="int4")
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        load(tmp_path / "m", threads=0)
    add_files(bundle.path, {"model.int8.onnx": loudness_graph(scale=0.5)})
    clip = steps(*[0.4] * 10)
    assert as_dict(load(tmp_path / "m").tag(clip, RATE))["loud"] == pytest.approx(0.4)
    assert as_dict(load(tmp_path / "m", precision="int8").tag(clip, RATE))["loud"] == pytest.approx(0.2)


def test_a_detector_refuses_what_its_limits_refuse(tiny, encode):
    detector = tiny()
    limited = Detector(detector.bundle, open_network(detector.bundle), limits=Limits(max_duration_s=2.0))
    assert limited.tag(io.BytesIO(encode(steps(*[0.5] * 20), RATE))).duration == 2.0
    with pytest.raises(InputError, match="longer than the limit") as caught:
        limited.tag(io.BytesIO(encode(steps(*[0.5] * 21), RATE)))
    assert caught.value.code == "too_long"


def test_the_scores_behind_events_can_be_had_with_them(tiny):
    detector, samples, parts = tiny(), steps(0.1, 0.9, 0.9, 0.2, 0.4), []
    events = detector.detect(samples, RATE, on_frames=parts.append)
    assert events == detector.detect(samples, RATE)
    assert np.array_equal(np.concatenate(parts), detector.frames(samples, RATE).values)
    assert np.array_equal(detector.scores(np.concatenate(parts)).times, detector.frames(samples, RATE).times)
