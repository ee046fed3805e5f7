# SPDX-License-Identifier: Apache-2.0
"""The value types that auricle returns. Read this file first: it is what every command produces.

All are frozen. ``to_dict()`` is exactly the JSON of the command line and of the server:
seconds as numbers, six significant digits, scores sorted from high to low.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.tabular import Columns, Tabular, library

FloatArray = npt.NDArray[np.float32]

SIGNIFICANT_DIGITS = 6
#: What a model of synthetic voices tells apart: a person speaks, or a machine does.
SPOOF_LABELS = ("bonafide", "spoof")


def rounded(value: float) -> float:
    """Round to six significant digits, as all JSON output is.

    >>> rounded(0.123456789)
    0.123457
    """
    value = float(value)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else value


@dataclass(frozen=True)
class Flag:
    """Something a user should know about an input that was used all the same.

    Attributes:
        code: a key of ``errors.FLAG_CODES``.
        details: measured values, such as ``{"declared": 64000, "found": 31978}``.
    """

    code: str
    details: Mapping[str, float | int | str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"code": ..., **details}``."""
        return {
            "code": self.code,
            **{k: rounded(v) if isinstance(v, float) else v for k, v in self.details.items()},
        }


@dataclass(frozen=True)
class Failure:
    """Why an input was not used: ``code`` is a key of ``errors.FAILURE_CODES``."""

    code: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"code", "message"}``."""
        return {"code": self.code, "message": self.message}


def failure_rows(failures: Mapping[str, Failure]) -> list[dict[str, Any]]:
    """Return recordings that were not used, and why, for JSON."""
    return [{"path": key, "error": failure.to_dict()} for key, failure in failures.items()]


@dataclass(frozen=True)
class LabelScore:
    """A label and its score in [0, 1].

    Attributes:
        label: what it is.
        score: how sure the model is that it is there.
        share: of recordings longer than a window, by models with scores over time: the share of the time in which the
            score reaches the model's threshold. None for others.
    """

    label: str
    score: float
    share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"label", "score"}``, with ``share`` where it is known."""
        shared = {} if self.share is None else {"share": rounded(self.share)}
        return {"label": self.label, "score": rounded(self.score), **shared}


@dataclass(frozen=True)
class Event:
    """A sound with a beginning and an end.

    Attributes:
        label: what it is.
        onset: seconds from the start of the recording.
        offset: seconds, at least ``onset``.
        score: highest smoothed score inside, in [0, 1].
    """

    label: str
    onset: float
    offset: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"label", "onset", "offset", "score"}``."""
        return {
            "label": self.label,
            "onset": rounded(self.onset),
            "offset": rounded(self.offset),
            "score": rounded(self.score),
        }


@dataclass(frozen=True)
class CutEvent(Event):
    """An event of a live recording that a gap cut off: it may have gone on."""

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"label", "onset", "offset", "score", "cut": true}``."""
        return {**super().to_dict(), "cut": True}


@dataclass(frozen=True)
class EventStart:
    """A sound has begun and continues; streams announce it once it is certain to become an ``Event``.

    Attributes:
        label: what it is.
        onset: seconds from the start of the stream; that of the ``Event`` that will follow.
    """

    label: str
    onset: float

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"label", "onset"}``."""
        return {"label": self.label, "onset": rounded(self.onset)}


@dataclass(frozen=True)
class Origin:
    """When, where and with what a recording was made, as far as its name and header say.

    Attributes:
        start: moment of the first sample; with an offset from UTC where one is known or was given.
        source: what said so: ``guano``, ``audiomoth`` (its comment), ``name``, ``ixml``, ``bext`` or ``info``.
        recorder: what is known of ``make``, ``model``, ``id``, ``firmware``, ``deployment``, ``gain``, ``battery_v``
            (or ``battery``, such as ``> 4.9 V``), ``temperature_c``, ``microphone`` and ``stopped``.
        position: ``latitude`` and ``longitude`` in degrees (WGS 84), ``elevation_m``; empty where it is not known.
    """

    start: datetime | None = None
    source: str = ""
    recorder: Mapping[str, Any] = field(default_factory=dict)
    position: Mapping[str, float] = field(default_factory=dict)

    def at(self, seconds: float) -> datetime | None:
        """Return the moment ``seconds`` after the start, on the same clock; None where the start is not known.

        >>> from zoneinfo import ZoneInfo
        >>> Origin(datetime(2024, 10, 27, 2, 50, tzinfo=ZoneInfo("Europe/Berlin"))).at(1200).isoformat()
        '2024-10-27T02:10:00+01:00'
        """
        if self.start is None or self.start.tzinfo is None:
            return None if self.start is None else self.start + timedelta(seconds=seconds)
        return (self.start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(self.start.tzinfo)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"start", "start_from", "recorder", "position"}`` without what is not known."""
        said: dict[str, Any] = {
            "start": None if self.start is None else spell_moment(self.start),
            "start_from": self.source,
            "recorder": dict(self.recorder),
            "position": {name: round(value, 7) for name, value in self.position.items()},
        }
        return {name: value for name, value in said.items() if value}


def spell_moment(moment: datetime) -> str:
    """Return a moment in the form of ISO 8601, to the second, or the millisecond where there are some.

    >>> spell_moment(datetime(2024, 5, 1, 4, 30, 0, 250_000, tzinfo=UTC))
    '2024-05-01T04:30:00.250+00:00'
    """
    moment = moment + timedelta(microseconds=500) if moment.microsecond % 1000 else moment
    return moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")


@dataclass(frozen=True, repr=False)
class _Result(Tabular):
    """What all results about one input share.

    Attributes:
        path: of the recording; empty for arrays.
        duration: seconds that were taken; None where it failed.
        flags: what a user should know about it.
        origin: when, where and with what it was made; None where nothing says so.
        part: from where to where it was taken, in seconds of the recording; None for all of it.
        channel: the channel that was taken, from 1 on; None for the mean of all.
    """

    path: str
    duration: float | None
    flags: tuple[Flag, ...] = ()
    origin: Origin | None = field(default=None, kw_only=True)
    part: tuple[float, float] | None = field(default=None, kw_only=True)
    channel: int | None = field(default=None, kw_only=True)

    def _head(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "duration": None if self.duration is None else rounded(self.duration),
            "flags": [f.to_dict() for f in self.flags],
            **({} if self.part is None else {"part": [rounded(seconds) for seconds in self.part]}),
            **({} if self.channel is None else {"channel": self.channel}),
            **({} if self.origin is None else self.origin.to_dict()),
        }

    def __repr__(self) -> str:
        """Return the result in one line: path, length, and what was found or why nothing was."""
        length = "" if self.channel is None else f", channel {self.channel}"
        length += "" if self.duration is None else f", {self.duration:.4g} s"
        start = "" if self.origin is None or self.origin.start is None else f", from {spell_moment(self.origin.start)}"
        error: Failure | None = getattr(self, "error", None)
        said = self._found() if error is None else f"{error.code}: {error.message}"
        flags = f" [{', '.join(flag.code for flag in self.flags)}]" if self.flags else ""
        return f"<{type(self).__name__} {self.path!r}{length}{start}: {said}{flags}>"

    def _found(self) -> str:
        """Return what was found, in some words."""
        raise NotImplementedError

    def _named(self, count: int) -> Columns:
        """Return the columns that name the recording in ``count`` rows: path, and channel where one was taken."""
        channel = {} if self.channel is None else {"channel": [self.channel] * count}
        return {"path": [self.path] * count, **channel}

    def _starts(self, seconds: Sequence[float]) -> list[datetime | None]:
        """Return the moments at some seconds of the recording."""
        return [None if self.origin is None else self.origin.at(second) for second in seconds]


def _listed(texts: Sequence[str], shown: int) -> str:
    """Join some texts, and count the rest."""
    more = f", {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


@dataclass(frozen=True, repr=False)
class TagResult(_Result):
    """What is in a recording: every label with its clip score, from high to low.

    Attributes:
        scores: labels with scores.
        error: why there are none.
        llr: of models that tell bona fide from spoofed speech: natural logarithm of how much likelier the recording is
            if it is bona fide; no prior enters it. None for other models.
        prior_spoof: the share of spoofed recordings that the scores, then probabilities, take for granted.
    """

    scores: tuple[LabelScore, ...] = ()
    error: Failure | None = None
    llr: float | None = None
    prior_spoof: float | None = None

    def __getitem__(self, label: str) -> float:
        """Return the score of a label; raises ``KeyError`` for one that has none here."""
        for score in self.scores:
            if score.label == label:
                return score.score
        raise KeyError(label)

    def _found(self) -> str:
        return _listed([f"{s.label} {s.score:.3f}" for s in self.scores], 3) or "no scores"

    def columns(self) -> Columns:
        """Return ``path``, ``start``, ``label``, ``score`` and ``share``, a row a label."""
        count, begin = len(self.scores), 0.0 if self.part is None else self.part[0]
        return {
            **self._named(count),
            "start": self._starts([begin] * count),
            "label": [s.label for s in self.scores],
            "score": [s.score for s in self.scores],
            "share": [s.share for s in self.scores],
        }

    def plot(self, top: int = 10, ax: Any = None) -> Any:
        """Draw the highest scores as bars; returns matplotlib's axes.

        Raises:
            UsageError: matplotlib is not installed.
        """
        ax = _axes(ax)
        shown = self.scores[:top][::-1]
        ax.barh([s.label for s in shown], [s.score for s in shown])
        ax.set(xlim=(0, 1), xlabel="score", title=self.path)
        return ax

    def to_dict(self, top: int | None = None) -> dict[str, Any]:
        """Return the JSON object of ``auricle tag``, with the ``top`` highest scores (all if None)."""
        named = {"llr": self.llr, "prior_spoof": self.prior_spoof}
        return {
            **self._head(),
            "scores": [s.to_dict() for s in self.scores[:top]],
            **{name: rounded(value) for name, value in named.items() if value is not None},
            "error": None if self.error is None else self.error.to_dict(),
        }


@dataclass(frozen=True, repr=False)
class DetectResult(_Result):
    """When sounds happen: events in the order of their onsets."""

    events: tuple[Event, ...] = ()
    error: Failure | None = None

    def __getitem__(self, label: str) -> tuple[Event, ...]:
        """Return the events of a label; none is an answer too."""
        return tuple(event for event in self.events if event.label == label)

    def _found(self) -> str:
        shown = _listed([f"{e.label} {e.onset:.4g}-{e.offset:.4g} s" for e in self.events], 3)
        return f"{len(self.events)} event{'' if len(self.events) == 1 else 's'}" + (f": {shown}" if shown else "")

    def columns(self) -> Columns:
        """Return ``path``, ``start`` (the moment of the onset), ``onset``, ``offset``, ``label``, ``score``."""
        return {
            **self._named(len(self.events)),
            "start": self._starts([e.onset for e in self.events]),
            "onset": [e.onset for e in self.events],
            "offset": [e.offset for e in self.events],
            "label": [e.label for e in self.events],
            "score": [e.score for e in self.events],
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw the events over time, a lane a label; returns matplotlib's axes.

        Raises:
            UsageError: matplotlib is not installed.
        """
        ax = _axes(ax)
        labels = list(dict.fromkeys(event.label for event in self.events))
        for lane, label in enumerate(labels):
            spans = [(event.onset, event.offset - event.onset) for event in self[label]]
            ax.broken_barh(spans, (lane - 0.4, 0.8))
        ax.set_yticks(range(len(labels)), labels)
        begin = 0.0 if self.part is None else self.part[0]
        ax.set(
            xlim=(begin, begin + (self.duration or 0.0)) if self.duration else None, xlabel="seconds", title=self.path
        )
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle detect``."""
        return {
            **self._head(),
            "events": [e.to_dict() for e in self.events],
            "error": None if self.error is None else self.error.to_dict(),
        }


@dataclass(frozen=True, repr=False)
class EmbedResult(_Result):
    """One vector for a recording: the mean over its windows, shape ``(dimension,)``."""

    embedding: FloatArray | None = None
    error: Failure | None = None

    def _found(self) -> str:
        return "no embedding" if self.embedding is None else f"{len(self.embedding)} numbers"

    def columns(self) -> Columns:
        """Return ``path``, ``start``, ``duration`` and the numbers ``e0`` to the last, in one row."""
        values = [] if self.embedding is None else self.embedding.tolist()
        begin = 0.0 if self.part is None else self.part[0]
        head: Columns = {**self._named(1), "start": self._starts([begin]), "duration": [self.duration]}
        return {**head, **{f"e{i}": [value] for i, value in enumerate(values)}}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle embed``."""
        values = None if self.embedding is None else [rounded(v) for v in self.embedding.tolist()]
        return {
            **self._head(),
            "embedding": values,
            "error": None if self.error is None else self.error.to_dict(),
        }


def _axes(ax: Any) -> Any:
    """Return axes to draw on: the given ones, else new ones."""
    return library("matplotlib.pyplot", "plot").subplots()[1] if ax is None else ax


@dataclass(frozen=True, repr=False)
class Scores(Tabular):
    """Scores over time.

    Attributes:
        times: centre of each frame in seconds, shape ``(frame,)``.
        values: scores in [0, 1], shape ``(frame, label)``.
        labels: the columns of ``values``.
        step_s: seconds between two frames; frame ``i`` stands for ``times[i] ± step_s / 2``.
    """

    times: FloatArray
    values: FloatArray
    labels: tuple[str, ...]
    step_s: float

    def __getitem__(self, label: str) -> FloatArray:
        """Return the scores of a label over time; raises ``KeyError`` for one that is none."""
        if label not in self.labels:
            raise KeyError(label)
        return self.values[:, self.labels.index(label)]

    def __repr__(self) -> str:
        """Return the shape in one line."""
        return f"<Scores {len(self.times)} frames of {self.step_s:.4g} s: {_listed(self.labels, 3)}>"

    def columns(self) -> Columns:
        """Return ``time`` and a column a label."""
        return {"time": self.times.tolist(), **{n: self.values[:, i].tolist() for i, n in enumerate(self.labels)}}

    def plot(self, top: int = 10, ax: Any = None) -> Any:
        """Draw the labels with the highest scores over time, dark where they are high; returns matplotlib's axes.

        Raises:
            UsageError: matplotlib is not installed.
        """
        ax = _axes(ax)
        peaks = self.values.max(axis=0) if len(self.values) else np.zeros(len(self.labels))
        shown = np.argsort(-peaks, kind="stable")[:top]
        end = len(self.times) * self.step_s
        ax.imshow(self.values[:, shown].T, aspect="auto", vmin=0, vmax=1, cmap="Greys", interpolation="nearest",
                  extent=(0, end, len(shown) - 0.5, -0.5))  # fmt: skip
        ax.set_yticks(range(len(shown)), [self.labels[i] for i in shown])
        ax.set(xlabel="seconds")
        return ax


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"value", "low", "high", "n"}``."""
        return {
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.n,
        }


@dataclass(frozen=True, repr=False)
class Report(Tabular):
    """What ``evaluate`` measured: named figures with intervals, and per-class rows."""

    metrics: Mapping[str, Interval]
    per_class: Mapping[str, Mapping[str, float | int | None]]
    n: int
    data_hash: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Interval:
        """Return a figure with its interval; raises ``KeyError`` for one that was not measured."""
        return self.metrics[metric]

    def __repr__(self) -> str:
        """Return the figures in one line."""
        shown = [f"{name} {f.value:.4g} [{f.low:.4g}, {f.high:.4g}]" for name, f in self.metrics.items()]
        return f"<Report of {self.n}: {_listed(shown, 4)}>"

    def columns(self) -> Columns:
        """Return ``metric``, ``value``, ``low``, ``high`` and ``n``, a row a figure."""
        figures = list(self.metrics.values())
        return {
            "metric": list(self.metrics),
            "value": [figure.value for figure in figures],
            "low": [figure.low for figure in figures],
            "high": [figure.high for figure in figures],
            "n": [figure.n for figure in figures],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle evaluate``."""
        return {
            "n": self.n,
            "data_hash": self.data_hash,
            "metrics": {k: v.to_dict() for k, v in self.metrics.items()},
            "per_class": {
                k: {m: rounded(v) if isinstance(v, float) else v for m, v in row.items()}
                for k, row in self.per_class.items()
            },
            **self.details,
        }


@dataclass(frozen=True, repr=False)
class RunResult(Tabular):
    """What a training run left behind.

    Attributes:
        path: the model folder.
        epochs: that were trained.
        steps: of the optimiser.
        dev: figures of the selected weights on dev.
        test: figures of the test part, scored once; None without one.
        finished: False where the run was stopped before its end.
        classes: a row for each class: clips, dev clips, recall and precision on dev, threshold of its events.
        warnings: what will go wrong in use and what to do about it, a line each.
    """

    path: str
    epochs: int
    steps: int
    dev: Mapping[str, float]
    test: Report | None = None
    finished: bool = True
    classes: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()

    def __repr__(self) -> str:
        """Return the run in one line."""
        state = "" if self.finished else ", stopped"
        figures = _listed([f"{name} {value:.4g}" for name, value in self.dev.items()], 3)
        return f"<RunResult {self.path!r}, {self.epochs} epochs{state}: {figures or 'no dev figures'}>"

    def columns(self) -> Columns:
        """Return what ``classes`` holds, a row a class."""
        names = list(dict.fromkeys(name for row in self.classes for name in row))
        return {name: [row.get(name) for row in self.classes] for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle train``."""
        return {
            "path": self.path,
            "epochs": self.epochs,
            "steps": self.steps,
            "dev": {k: rounded(v) for k, v in self.dev.items()},
            "test": None if self.test is None else self.test.to_dict(),
            "finished": self.finished,
            "classes": [{k: rounded(v) if isinstance(v, float) else v for k, v in row.items()} for row in self.classes],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class EnrolResult:
    """What enrolling a few clips gave.

    Attributes:
        path: the model folder.
        labels: its classes.
        clips: recordings behind it, negatives among them.
        negatives: how many of them hold none of the classes.
        classes: a row for each class: clips, recall and precision of clips left out of the fit, false alarms on the
            bank of negatives (intervals, None where nothing can be said), threshold of its events, and how many events
            were found for each true one.
        warnings: what these figures say too little of, a line each.
        failures: recordings that could not be read, by name.
        seconds: that it took.
    """

    path: str
    labels: tuple[str, ...]
    clips: int
    negatives: int
    classes: Sequence[Mapping[str, Any]]
    warnings: Sequence[str] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle enrol``."""
        return {
            "path": self.path,
            "labels": list(self.labels),
            "clips": self.clips,
            "negatives": self.negatives,
            "classes": [{name: _plain(value) for name, value in row.items()} for row in self.classes],
            "warnings": list(self.warnings),
            "failures": {name: failure.to_dict() for name, failure in self.failures.items()},
            "seconds": rounded(self.seconds),
        }


def _plain(value: Any) -> Any:
    """Return a figure as JSON holds it."""
    if isinstance(value, Interval):
        return value.to_dict()
    return rounded(value) if isinstance(value, float) else value


@dataclass(frozen=True)
class VectorsResult:
    """What embedding the windows of an archive gave: a folder that ``search`` looks through.

    Attributes:
        path: the folder.
        windows: vectors in it.
        recordings: that they are of.
        dimension: length of a vector.
        window_s: length of a window in seconds.
        hop_s: seconds between two windows.
        failures: recordings that could not be read, by name.
    """

    path: str
    windows: int
    recordings: int
    dimension: int
    window_s: float
    hop_s: float
    failures: Mapping[str, Failure] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle embed --windows``."""
        return {**asdict(self), "failures": {name: failure.to_dict() for name, failure in self.failures.items()}}


@dataclass(frozen=True)
class Match:
    """A window of an archive that is like an example: ``score`` is the cosine of their vectors, at most 1."""

    path: str
    onset: float
    offset: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"path", "onset", "offset", "score"}``."""
        return {
            "path": self.path,
            "onset": rounded(self.onset),
            "offset": rounded(self.offset),
            "score": rounded(self.score),
        }


@dataclass(frozen=True)
class SearchResult:
    """The windows that are most like an example, from high to low.

    Attributes:
        example: what was looked for.
        matches: the windows.
        searched: windows that it was compared with.
        clips: files that were cut out, in the order of the matches.
    """

    example: str
    matches: tuple[Match, ...]
    searched: int
    clips: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle search``."""
        return {
            "example": self.example,
            "searched": self.searched,
            "matches": [match.to_dict() for match in self.matches],
            "clips": list(self.clips),
        }


@dataclass(frozen=True)
class Int8Result:
    """What making a model smaller gave.

    Attributes:
        path: of the model.
        float32_bytes: size of ``model.onnx``.
        int8_bytes: size of ``model.int8.onnx``.
        arithmetic: ``float`` where only the weights have 8 bits, else ``int8``.
        shift: largest change of a score of the stored input.
        float32_ms: one window on one thread, in milliseconds of this machine's processor.
        int8_ms: the same in 8 bits.
        metric: name of the model's figure; empty without data.
        float32: its value in float32.
        int8: its value in 8 bits.
        clips: that it was measured on.
        note: why the arithmetic is not ``int8`` although there was data; empty if there is nothing to say.
    """

    path: str
    float32_bytes: int
    int8_bytes: int
    arithmetic: str
    shift: float
    float32_ms: float
    int8_ms: float
    metric: str = ""
    float32: float | None = None
    int8: float | None = None
    clips: int = 0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle export --int8``."""
        values = {**asdict(self), "share": self.int8_bytes / self.float32_bytes}
        return {k: rounded(v) if isinstance(v, float) else v for k, v in values.items()}
