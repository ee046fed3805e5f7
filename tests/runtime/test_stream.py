# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from helpers.tinybundle import LABELS, RATE, make_bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.errors import InputError, UsageError
from auricle.results import Event, EventStart, Scores
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import open_network

BOXES = {"min_event_s": 0.2, "boxes": {"filter_s": 0.4, "max_gap_s": 0.5, "max_event_s": 1.5}}


def make(folder, **changes) -> Detector:
    bundle = make_bundle(folder, **changes)
    return Detector(bundle, open_network(bundle))


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    post = {"median_s": 0.5, "off_ratio": 0.7, "min_event_s": 0.2, "max_gap_s": 0.3}
    limits = {"loud": 0.45, "quiet": 0.6}
    by_label = {"medians_s": {"loud": 0.1}, "off_ratios": {"quiet": 1.0}}
    return [
        make(tmp_path_factory.mktemp("a"), postprocess=post, thresholds=limits),
        make(tmp_path_factory.mktemp("b"), postprocess=post, window_s=0.73, hop_s=0.37, pad="repeat"),
        make(tmp_path_factory.mktemp("c"), frames=None, hop_s=0.4, thresholds=limits, postprocess={"median_s": 1.2}),
        make(tmp_path_factory.mktemp("d"), postprocess=post | by_label),
        make(tmp_path_factory.mktemp("e"), postprocess=BOXES, thresholds=dict.fromkeys(LABELS, 0.3)),
        make(tmp_path_factory.mktemp("f"), postprocess=post, window_s=1.0, hop_s=0.6, margin_s=0.2),
    ]


def sound(length: int, seed: int) -> np.ndarray:
    """Noise whose level jumps."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0, 1, length // 170 + 1), 170)[:length]
    return (level * np.sign(rng.standard_normal(length))).astype(np.float32)


def run(stream, blocks) -> list:
    items = []
    for block in blocks:
        items += stream.push(block)
    return items + stream.flush()


def joined(items) -> tuple[np.ndarray, np.ndarray]:
    scores = [item for item in items if isinstance(item, Scores)]
    assert scores, "a recording has frames"
    return np.concatenate([s.times for s in scores]), np.concatenate([s.values for s in scores])


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_stream_equals_array_for_any_blocks_and_rates(detectors, data):
    detector = data.draw(st.sampled_from(detectors))
    rate = data.draw(st.sampled_from([RATE, 1_470, 8_000]))
    samples = sound(data.draw(st.integers(rate // 5, 6 * rate)), data.draw(st.integers(0, 9)))
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=20))
    stream = detector.stream(rate)
    items = run(stream, np.split(samples, sorted(cuts)))
    expected = detector.frames(samples, rate)
    times, values = joined(items)
    np.testing.assert_array_equal(times, expected.times)
    np.testing.assert_array_equal(values, expected.values)
    result = detector.detect(samples, rate)
    events = [item for item in items if isinstance(item, Event)]
    assert sorted(events, key=lambda e: (e.onset, LABELS.index(e.label))) == list(result.events)
    assert stream.duration == result.duration
    assert [f.code for f in stream.flags] == [f.code for f in result.flags if f.code != "window_resolution"]


@pytest.mark.parametrize("number", [0, 3, 4])
def test_the_order_of_events_does_not_depend_on_the_blocks(detectors, number):
    samples, detector = sound(20_000, 1), detectors[number]
    whole = [i for i in run(detector.stream(RATE), [samples]) if not isinstance(i, Scores)]
    tiny = [i for i in run(detector.stream(RATE), np.split(samples, range(7, 20_000, 7))) if not isinstance(i, Scores)]
    assert whole == tiny
    assert len(whole) > 10


def test_a_box_comes_within_the_stated_latency(detectors):
    stream, late = detectors[4].stream(RATE), 0
    for item in run(stream, np.split(sound(20_000, 5), range(10, 20_000, 10))):
        if isinstance(item, Scores):
            late = item.times[-1]
        elif isinstance(item, Event):
            assert late - item.onset <= stream.latency_s
    # 0.2 s of filter, boxes of 1.5 s, gaps of 0.5 s and one frame, after the window of 1 s; events last 0.2 s
    assert stream.latency_s == pytest.approx(1.0 + 0.2 + 1.5 + 0.5 + 0.1 + 0.2)


def test_every_beginning_gets_its_end(detectors):
    open_labels: dict[str, float] = {}
    ended = 0
    for item in run(detectors[0].stream(RATE), np.split(sound(30_000, 2), range(50, 30_000, 50))):
        if isinstance(item, EventStart):
            assert item.label not in open_labels
            open_labels[item.label] = item.onset
        elif isinstance(item, Event):
            assert open_labels.pop(item.label) == item.onset
            assert item.to_dict()["onset"] == pytest.approx(item.onset, rel=1e-5)
            ended += 1
    assert not open_labels
    assert ended > 5


def test_a_file_equals_its_stream(detectors, tmp_path, encode):
    samples = sound(44_100, 3)
    path = tmp_path / "a.wav"
    path.write_bytes(encode(samples, 11_025, subtype="FLOAT"))
    items = run(detectors[0].stream(11_025), np.split(samples, range(512, 44_100, 512)))
    scores = detectors[0].frames(path)
    np.testing.assert_array_equal(joined(items)[1], scores.values)
    events = [item for item in items if isinstance(item, Event)]
    result = detectors[0].detect(path)
    assert sorted(events, key=lambda e: (e.onset, LABELS.index(e.label))) == list(result.events)


def test_nan_is_zeroed_and_flagged_and_the_rest_stays_sound(detectors):
    clean = sound(4_000, 4)
    clean[1000:1100] = 0
    dirty = clean.copy()
    dirty[1000:1050], dirty[1050:1099], dirty[1099] = np.nan, np.inf, 1e30
    stream = detectors[0].stream(RATE)
    items = run(stream, np.split(dirty, 8))
    np.testing.assert_array_equal(joined(items)[1], detectors[0].frames(clean, RATE).values)
    assert [f.to_dict() for f in stream.flags if f.code == "nonfinite"] == [{"code": "nonfinite", "count": 100}]


@pytest.mark.parametrize(("rate", "resampling_s"), [(RATE, 0.0), (1_470, 1.3), (8_000, 1.3)])
def test_latency_is_stated_and_held(detectors, rate, resampling_s):
    stream = detectors[0].stream(rate)
    # window 1 s, half of the median of 5 frames 0.2 s, shortest event 0.2 s, filter of 1,300 samples at 1 kHz
    assert stream.latency_s == pytest.approx(1.0 + 0.2 + 0.2 + resampling_s)
    sound = np.repeat(np.array([0, 0.9], np.float32), [3 * rate, 5 * rate])
    step = rate // 100
    for start in range(0, len(sound), step):
        items = stream.push(sound[start : start + step])
        found = [item for item in items if isinstance(item, EventStart) and item.label == "loud"]
        if found:
            assert stream.duration - found[0].onset <= stream.latency_s + 0.1 + step / rate  # frames last 0.1 s
            return
    pytest.fail("the sound was not reported")


def test_channels_are_mixed_and_stay(detectors):
    both = np.stack([sound(3_000, 5), sound(3_000, 6)], axis=1)
    items = run(detectors[0].stream(RATE), np.split(both, 6))
    np.testing.assert_array_equal(joined(items)[1], detectors[0].frames(both, RATE).values)
    stream = detectors[0].stream(RATE)
    stream.push(both)
    with pytest.raises(UsageError, match="the stream has 2 channels, this block has 1"):
        stream.push(both[:, 0])


def test_an_empty_stream_gives_nothing(detectors):
    stream = detectors[0].stream(RATE)
    assert stream.push(np.zeros(0, np.float32)) == []
    assert stream.flush() == []
    assert stream.flags == ()
    assert stream.duration == 0


def test_wrong_use_is_said(detectors):
    stream = detectors[0].stream(RATE)
    with pytest.raises(InputError, match="samples of type int32"):
        stream.push(np.zeros(5, np.int32))
    assert stream.flush() == []
    with pytest.raises(UsageError, match="the stream has been flushed; make a new one"):
        stream.push(np.zeros(5, np.float32))
    assert stream.flush() == []
    with pytest.raises(InputError, match="a sample rate of 7 Hz"):
        detectors[0].stream(7)
    with pytest.raises(UsageError, match="tiny has no label 'x'"):
        detectors[0].stream(RATE, threshold={"x": 0.5})


def test_streams_of_one_detector_do_not_disturb_each_other(detectors):
    first, second = sound(3_000, 7), sound(3_000, 8)
    a, b = detectors[0].stream(RATE), detectors[0].stream(RATE)
    items_a, items_b = [], []
    for start in range(0, 3_000, 100):
        items_a += a.push(first[start : start + 100])
        items_b += b.push(second[start : start + 100])
    np.testing.assert_array_equal(joined(items_a + a.flush())[1], detectors[0].frames(first, RATE).values)
    np.testing.assert_array_equal(joined(items_b + b.flush())[1], detectors[0].frames(second, RATE).values)


@pytest.mark.parametrize("rate", [RATE, 1_470, 8_000])
def test_fewer_samples_than_a_stream_asks_for_give_nothing(detectors, rate):
    """And a little after as many as it asks for, something comes: the resampler holds back some milliseconds."""
    stream, found, late = detectors[0].stream(rate), 0, 0
    while found < 4:
        ahead = stream.samples_to_next
        assert stream.push(np.zeros(ahead - 1, np.float32)) == []
        found += bool(stream.push(np.zeros(max(1, rate // 20), np.float32)))
        late += ahead == 1
    assert late <= (0 if rate == RATE else 60)
