# SPDX-License-Identifier: Apache-2.0
"""A live recording without any socket."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from helpers.tinybundle import RATE, make_bundle
from hypothesis import given
from hypothesis import strategies as st

from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import load
from auricle.runtime.onnx_session import open_network
from auricle.server.live import Close, Hello, Live, parse_hello


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A network that counts its windows."""

    running = None

    def __init__(self, network) -> None:
        self.network, self.windows = network, 0

    def run(self, windows, wanted=frozenset()):
        self.windows += len(windows)
        return self.network.run(windows, wanted)


@pytest.fixture
def make(bundle):
    def live(clock=None, **hello) -> Live:
        wanted = Hello(**{"model": "tiny", "sample_rate": RATE, **hello})
        return Live(wanted, bundle.spec, Counting(open_network(bundle)), Clock() if clock is None else clock)

    return live


def test_the_first_answer_says_what_comes(make):
    assert make(threshold={"loud": 0.25}).ready() == {
        "ready": {
            **{"model": "tiny", "labels": ["loud", "quiet"], "thresholds": [0.25, 0.5]},
            **{"sample_rate": RATE, "step_s": 0.1, "latency_s": 1.0},
        }
    }


def test_a_stream_is_as_quick_as_asked_or_as_it_can_be(make, tmp_path):
    assert make(latency_s=0.1).ready()["ready"]["latency_s"] == 1.0, "windows that overlap cannot be cut"
    margins = make_bundle(tmp_path / "margins", window_s=4.8, hop_s=3.2, margin_s=0.8)
    network = open_network(margins)
    for asked_s, told_s in ((None, 4.0), (0.1, 0.2), (1.7, 0.4), (60, 4.0)):
        live = Live(Hello("tiny", RATE, latency_s=asked_s), margins.spec, network, Clock())
        assert live.ready()["ready"]["latency_s"] == pytest.approx(told_s)


def test_work_is_due_only_when_a_window_is_complete(make, buzz):
    live = make()
    live.feed(buzz[:999].tobytes())
    assert not live.busy
    live.feed(buzz[999:1000].tobytes()[:3])
    assert not live.busy
    live.feed(buzz[999:1000].tobytes()[3:])
    assert live.busy
    assert [list(message) for message in live.work()] == [["times", "scores"], ["label", "onset"]]
    assert not live.busy


def test_events_are_those_of_the_whole_recording(make, bundle, buzz):
    live = make(scores=False)
    live.feed(buzz.tobytes())
    found = [message for message in live.finish() if "offset" in message]
    assert found == load(bundle.path).detect(buzz, RATE).to_dict()["events"]


def test_scores_are_sent_only_where_they_are_wanted(make, buzz):
    live = make(scores=False)
    live.feed(buzz.tobytes())
    assert not any("scores" in message for message in live.finish())


def test_long_messages_are_worked_on_in_pieces(make):
    live = make()
    live.feed(np.zeros(60 * RATE, "<f4").tobytes())
    assert sum(len(message.get("times", [])) for message in live.finish()) == 600


def test_nothing_at_all_has_an_end(make):
    assert make().finish() == [{"end": {"duration": 0.0, "wall_s": 0.0, "drift_s": 0.0, "flags": []}}]


def test_drift_is_the_clients_clock_against_ours(make):
    clock = Clock()
    live = make(clock)
    for second in range(5):
        clock.now = 100.0 + 1.01 * second
        live.feed(np.zeros(RATE, "<f4").tobytes())
    assert live.finish()[-1]["end"]["drift_s"] == pytest.approx(4.04 - 5.0)


def test_an_event_that_is_over_before_a_gap_is_not_cut(make, buzz):
    live = make()
    live.feed(buzz[:1_500].tobytes())
    found = live.control('{"gap_s": 1}')
    ends = [(message["label"], message.get("cut")) for message in found if "offset" in message]
    assert ends == [("quiet", None), ("loud", None), ("quiet", True)]


def test_flags_behind_a_gap_stay_in_the_last_report(make, buzz):
    live = make()
    live.feed(np.full(10, np.nan, "<f4").tobytes())
    live.control('{"gap_s": 0}')
    live.feed(buzz.tobytes())
    assert live.control('{"end": true}')[-1]["end"]["flags"][0] == {"code": "nonfinite", "count": 10}
    assert live.ended


def test_a_hello_may_leave_out_what_has_a_default(bundle):
    specs = {"tiny": bundle.spec}
    assert parse_hello('{"sample_rate": 8000}', specs) == Hello("tiny", 8000, "f32le", None, True)
    text = json.dumps({"sample_rate": 8000, "format": "s16le", "threshold": 1, "scores": False})
    assert parse_hello(text, specs) == Hello("tiny", 8000, "s16le", 1.0, False)


def test_a_reason_fits_into_a_close_frame():
    assert len(Close(1008, "ä" * 500).reason.encode()) <= 123


# What JSON can hold where a hello, or a message after it, has another thing.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "\x1b[2J", "tiny", "f32le", 48000.0, 10**400, 1e308]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("loud"), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(["model", "sample_rate", "format", "threshold", "scores", "gap_s", "end", "other", "\udc00"])


def closed_by(call):
    """Return what a call gave and how it closed the stream, one of them None."""
    try:
        return call(), None
    except Close as close:
        return None, close


@given(st.dictionaries(KEYS, ANYTHING, max_size=5) | ANYTHING)
def test_no_first_message_is_anything_but_read_or_refused(bundle, values):
    hello, close = closed_by(lambda: parse_hello(json.dumps(values), {"tiny": bundle.spec}))
    if hello is not None:
        assert (hello.model, type(hello.sample_rate)) == ("tiny", int)
    else:
        assert close.code in (1007, 1008)
        assert 0 < len(close.reason.encode()) <= 123
        assert close.reason.isprintable()


@given(st.dictionaries(KEYS, ANYTHING, max_size=3) | ANYTHING)
def test_no_later_message_is_anything_but_obeyed_or_refused(bundle, values):
    live = Live(Hello("tiny", RATE), bundle.spec, open_cached(bundle), Clock())
    _, close = closed_by(lambda: live.control(json.dumps(values)))
    assert close is None or (close.code in (1003, 1007, 1008) and close.reason.isprintable())


@functools.cache
def _network(path):
    return open_network(load_bundle(path))


def open_cached(bundle):
    return _network(bundle.path)


@pytest.mark.parametrize(("sent", "rate"), [("44100.0", 44_100), ("1.6e4", 16_000), ("8000", 8_000)])
def test_a_whole_number_is_one_however_json_writes_it(bundle, make, sent, rate):
    assert parse_hello(f'{{"sample_rate": {sent}}}', {"tiny": bundle.spec}).sample_rate == rate
    (gap,) = [message for message in make().control(f'{{"sample_rate": {sent}}}') if "gap" in message]
    assert gap["gap"]["sample_rate"] == rate


@pytest.mark.parametrize("sent", ["44100.5", "1e400", "NaN", "-Infinity", "true", '"48000"', "[48000]", "null"])
def test_what_is_no_whole_number_is_no_rate(bundle, sent):
    with pytest.raises(Close, match=r"sample_rate must be a whole number of Hz|a sample rate of") as caught:
        parse_hello(f'{{"sample_rate": {sent}}}', {"tiny": bundle.spec})
    assert caught.value.code == 1008


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ({"sample_rate": 1000, "format": {"s16le": 1}}, "unknown format; known: f32le, s16le"),
        ({"sample_rate": 1000, "latency_s": "soon"}, "latency_s must be a number of seconds, such as 2"),
        ({"sample_rate": 1000, "latency_s": True}, "latency_s must be a number of seconds, such as 2"),
        ({"sample_rate": 1000, "latency_s": float("nan")}, "latency_s must be a number of seconds, such as 2"),
        ({"sample_rate": 1000, "model": ["tiny"]}, "unknown model"),
        ({"sample_rate": 1000, "scores": [True]}, "scores must be true or false"),
        ({"sample_rate": 1000, "threshold": ["loud"]}, "threshold must be a number"),
        ({"sample_rate": 1000, "threshold": {"loud": [1]}}, "threshold must be a number"),
        ({"sample_rate": 1000, "threshold": 10**400}, "threshold must be a number"),
    ],
)
def test_wrong_types_in_a_first_message_are_refused_by_name(bundle, hello, reason):
    with pytest.raises(Close) as caught:
        parse_hello(json.dumps(hello), {"tiny": bundle.spec})
    assert caught.value.code == 1008
    assert caught.value.reason.startswith(reason)
