# SPDX-License-Identifier: Apache-2.0
"""One live recording over a connection: bytes of any size in, messages out. It knows nothing of sockets.

    client: {"model", "sample_rate", "format"}   then PCM, then {"end": true}
    server: {"ready": {...}}, {"times", "scores"}, {"label", "onset"}, {"label", "onset", "offset", "score"},
            {"flags"}, {"gap"}, {"end": {...}}

Messages may be cut anywhere, also inside a sample. Time is counted in samples, from the first one; how far the
client's clock is from ours is reported at the end (``drift_s``). A gap, or another sample rate, ends what is open
and begins anew behind it: no event reaches across, and one that a gap cut off carries ``"cut": true``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from auricle.errors import AuricleError
from auricle.files import printable
from auricle.registry import nearest
from auricle.results import Flag, FloatArray, Scores, rounded
from auricle.runtime.inputs import check_rate
from auricle.runtime.latency import least_latency_s, with_latency
from auricle.runtime.onnx_session import WindowNetwork
from auricle.runtime.recording import Recording
from auricle.runtime.spec import BundleSpec
from auricle.runtime.stream import Item
from auricle.runtime.tracker import on_thresholds
from auricle.server.responses import rounded_rows

NORMAL, AWAY, WRONG_KIND, NOT_READABLE, REFUSED, TOO_BIG, FAILED, LATER = 1000, 1001, 1003, 1007, 1008, 1009, 1011, 1013
#: Samples are ready for work at the latest when this much has come.
_MOST_PENDING_S = 1.0
_LONGEST_GAP_S = 24 * 3600.0
_LONGEST_LATENCY_S = 3600.0
_FORMATS: dict[str, np.dtype[Any]] = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}
_HELLO_KEYS = ("model", "sample_rate", "format", "threshold", "scores", "latency_s")

Message = dict[str, Any]


class Close(Exception):
    """The stream ends with this WebSocket close code; the reason has at most 123 bytes."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = printable(reason).encode()[:120].decode(errors="ignore")
        super().__init__(reason)


@dataclass(frozen=True)
class Hello:
    """The first message of a client, checked.

    Attributes:
        model: a name of the server's table.
        sample_rate: of the samples, in Hz.
        format: ``f32le`` or ``s16le``.
        threshold: as for ``Detector.stream``.
        scores: whether frame scores are wanted beside the events.
        latency_s: how late events may be announced at most, as far as the model can; None leaves its own windows.
    """

    model: str
    sample_rate: int
    format: str = "f32le"
    threshold: float | dict[str, float] | None = None
    scores: bool = True
    latency_s: float | None = None


def parse_hello(text: str, specs: Mapping[str, BundleSpec]) -> Hello:
    """Read the first message; raises ``Close``."""
    values = _object(text)
    for key in values:
        if key not in _HELLO_KEYS:
            raise Close(REFUSED, f"unknown key {key[:30]!r}; known: {', '.join(_HELLO_KEYS)}")
    model = values.get("model", next(iter(specs)))
    if not isinstance(model, str) or model not in specs:
        raise Close(REFUSED, f"unknown model{nearest(str(model), specs)}; GET /v1/models lists them")
    format = values.get("format", "f32le")
    if not isinstance(format, str) or format not in _FORMATS:
        raise Close(REFUSED, f"unknown format; known: {', '.join(_FORMATS)}")
    if not isinstance(values.get("scores", True), bool):
        raise Close(REFUSED, "scores must be true or false")
    threshold = _threshold(values.get("threshold"), specs[model])
    latency_s = values.get("latency_s")
    wrong = isinstance(latency_s, bool) or not isinstance(latency_s, (int, float))
    if latency_s is not None and (wrong or not latency_s >= 0):
        raise Close(REFUSED, "latency_s must be a number of seconds, such as 2")
    return Hello(model, _rate(values.get("sample_rate")), format, threshold, values.get("scores", True), latency_s)


def _with_latency(spec: BundleSpec, hello: Hello, network: WindowNetwork) -> BundleSpec:
    """Return the specification that is as quick as was asked for, or as quick as it can be."""
    if hello.latency_s is None:
        return spec
    causal = network.running is not None
    least_s = least_latency_s(spec, causal=causal)
    return with_latency(spec, min(max(hello.latency_s, least_s), _LONGEST_LATENCY_S), causal=causal)


def _object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise Close(NOT_READABLE, "not JSON; expected an object such as {'sample_rate': 48000}") from None
    if not isinstance(values, dict):
        raise Close(NOT_READABLE, "expected a JSON object")
    return values


def _rate(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise Close(REFUSED, "sample_rate must be a whole number of Hz, such as 48000")
    try:
        return check_rate(value)
    except AuricleError as error:
        raise Close(REFUSED, error.message) from None


def _threshold(value: Any, spec: BundleSpec) -> float | dict[str, float] | None:
    if value is None:
        return None
    found = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in found):
        raise Close(REFUSED, "threshold must be a number from 0 to 1, or an object of labels and numbers")
    try:
        on_thresholds(spec, value)
    except AuricleError as error:
        raise Close(REFUSED, error.message) from None
    except OverflowError:  # a number of hundreds of digits
        raise Close(REFUSED, "threshold must be a number from 0 to 1, or an object of labels and numbers") from None
    return {label: float(x) for label, x in value.items()} if isinstance(value, dict) else float(value)


class Live:
    """The state of one live recording. ``feed`` is cheap; ``work`` computes, and belongs into a thread.

    Args:
        hello: what the client asked for.
        spec: of the model.
        network: its network.
        clock: seconds, replaceable in tests.

    Attributes:
        ended: whether the client has said that nothing more comes.
    """

    def __init__(
        self, hello: Hello, spec: BundleSpec, network: WindowNetwork, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hello = hello
        self._spec = spec = _with_latency(spec, hello, network)
        self._clock = clock
        self._recording = Recording(spec, network, hello.sample_rate, hello.threshold)
        self._pending = bytearray()
        self._flags: dict[str, Flag] = {}
        self._began: float | None = None
        self._heard = 0.0
        self.ended = False

    @property
    def duration_s(self) -> float:
        """Seconds of sound and gaps so far, without what waits for work."""
        return self._recording.duration_s

    @property
    def busy(self) -> bool:
        """Tell whether ``work`` has something to do."""
        return len(self._pending) >= self._needed_bytes()

    def ready(self) -> Message:
        """Return the answer to the hello."""
        spec = self._spec
        return {
            "ready": {
                "model": self._hello.model,
                "labels": list(spec.labels),
                "thresholds": on_thresholds(spec, self._hello.threshold),
                "sample_rate": self._recording.sample_rate,
                "step_s": rounded(spec.grid.step_s(spec.sample_rate)),
                "latency_s": rounded(self._recording.latency_s),
            }
        }

    def feed(self, data: bytes) -> None:
        """Take bytes of samples, cut anywhere."""
        now = self._clock()
        if self._began is None:
            self._began = now
        self._heard = now
        self._pending += data

    def work(self) -> list[Message]:
        """Score what is pending; return what is new."""
        step = self._item_bytes * max(1, int(_MOST_PENDING_S * self._recording.sample_rate))
        messages: list[Message] = []
        while len(self._pending) >= self._item_bytes:
            whole = min(step, len(self._pending)) // self._item_bytes * self._item_bytes
            samples = self._samples(bytes(self._pending[:whole]))
            del self._pending[:whole]
            messages += self._told(self._recording.push(samples))
        return messages

    def control(self, text: str) -> list[Message]:
        """Obey a text message: a gap, another sample rate, or the end; raises ``Close``."""
        values = _object(text)
        if values == {"end": True}:
            self.ended = True
            return self.finish()
        if values and set(values) <= {"gap_s", "sample_rate"}:
            return self._gap(values)
        raise Close(WRONG_KIND, "text where samples are due; known: {'gap_s'}, {'sample_rate'}, {'end': true}")

    def finish(self) -> list[Message]:
        """End the recording: score the rest and say how it went."""
        messages = [*self.work(), *self._told(self._recording.flush())]
        wall_s = 0.0 if self._began is None else self._heard - self._began
        end = {
            "duration": rounded(self.duration_s),
            "wall_s": rounded(wall_s),
            "drift_s": rounded(wall_s - self.duration_s),
            "flags": [flag.to_dict() for flag in self._flags.values()],
        }
        return [*messages, {"end": end}]

    def _gap(self, values: Mapping[str, Any]) -> list[Message]:
        """Close what is open at the gap, and begin anew behind it."""
        gap_s = values.get("gap_s", 0.0)
        if isinstance(gap_s, bool) or not isinstance(gap_s, (int, float)) or not 0 <= gap_s <= _LONGEST_GAP_S:
            raise Close(REFUSED, f"gap_s must be a number of seconds from 0 to {_LONGEST_GAP_S:g}")
        rate = _rate(values.get("sample_rate", self._recording.sample_rate))
        messages = self.work()
        self._pending.clear()  # half a sample, which the gap has torn
        at = self.duration_s
        messages += self._told(self._recording.gap(float(gap_s), rate))
        return [*messages, {"gap": {"at": rounded(at), "gap_s": rounded(gap_s), "sample_rate": rate}}]

    @property
    def _item_bytes(self) -> int:
        return _FORMATS[self._hello.format].itemsize

    def _needed_bytes(self) -> int:
        """Return how many bytes have to be there before anything new can come of them."""
        most = int(_MOST_PENDING_S * self._recording.sample_rate)
        return self._item_bytes * max(1, min(most, self._recording.samples_to_next))

    def _samples(self, data: bytes) -> FloatArray:
        found = np.frombuffer(data, _FORMATS[self._hello.format])
        scale = 1.0 if self._hello.format == "f32le" else 1 / 32768
        return np.asarray(found.astype(np.float32) * np.float32(scale))

    def _told(self, items: list[Item]) -> list[Message]:
        """Return the messages for what the recording gave."""
        messages: list[Message] = []
        for item in items:
            if not isinstance(item, Scores):
                messages.append(item.to_dict())
            elif self._hello.scores:
                messages.append(scores_message(item))
        fresh = self._recording.new_flags()
        self._flags.update({flag.code: flag for flag in fresh})
        return [*messages, *([{"flags": [flag.to_dict() for flag in fresh]}] if fresh else [])]


def scores_message(scores: Scores) -> Message:
    """Return new frame scores as a message."""
    return {
        "times": [rounded(t) for t in scores.times.tolist()],
        "scores": rounded_rows(scores.values),
    }
