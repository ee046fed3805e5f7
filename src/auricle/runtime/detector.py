# SPDX-License-Identifier: Apache-2.0
"""A model at work: what is in a recording (``tag``), when (``detect``, ``frames``, ``stream``), its vector (``embed``).

Memory does not grow with the length of a recording: blocks become windows, windows become scores, and only running
sums stay (and the frame scores themselves, where ``frames`` is asked for them). A causal model has no windows where
time is asked for: ``detect``, ``frames`` and ``stream`` let it run from the first sample to the last.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from auricle.audio.channels import check_channel
from auricle.audio.origin.clocks import Clocks
from auricle.audio.web import WebLimits, fetched, is_address
from auricle.errors import AuricleError, InputError, UsageError
from auricle.events.smoothing import smooth_labels
from auricle.results import (
    DetectResult,
    EmbedResult,
    Event,
    Failure,
    Flag,
    FloatArray,
    LabelScore,
    Scores,
    TagResult,
)
from auricle.runtime.abstention import abstaining, threshold_of
from auricle.runtime.bundle import Bundle, load_bundle, resolve_model
from auricle.runtime.devices import BLOCK_S
from auricle.runtime.inputs import AudioInput, Excerpt, input_name, open_input, origin_of_input
from auricle.runtime.latency import with_latency
from auricle.runtime.llr import calibrated_scores, verdict
from auricle.runtime.long_file_progress import Bookmark, LostPlaceError, Place
from auricle.runtime.neighbours import NEIGHBOURS_FILE, NeighbourCheck, Neighbours, read_neighbours
from auricle.runtime.onnx_session import EMBEDDING, Network, open_network
from auricle.runtime.ood import DomainCheck
from auricle.runtime.scoring import Scorer, frame_scorer
from auricle.runtime.spec import BundleSpec
from auricle.runtime.stream import Stream, length_flags
from auricle.runtime.streaming import RunningScorer, Watch
from auricle.runtime.tracker import EventTracker, Threshold, median_sizes

if TYPE_CHECKING:
    from auricle.audio.decode import Limits

log = logging.getLogger(__name__)
IntArray = npt.NDArray[np.int64]
R = TypeVar("R")
S = TypeVar("S", bound=Scorer | RunningScorer)
#: Gets the seconds read so far and, if known, those of the whole.
Progress = Callable[[float, float | None], None]


def load(
    name: str | os.PathLike[str],
    *,
    precision: str = "float32",
    threads: int = 1,
    device: str = "cpu",
    lean: bool = False,
) -> Detector:
    """Load a model and check all of it.

    Args:
        name: a folder, the name of a built-in model, or ``hf:org/name``, see ``resolve_model``.
        precision: ``float32``, or ``int8`` where the bundle has it.
        threads: threads within one window.
        device: ``cpu``, ``auto`` (CUDA where the installed ONNX Runtime has it), or ``cuda``, ``rocm``, ``coreml``,
            ``openvino``, ``directml``.
        lean: whether scores over time will hardly be asked for: then they cost time when they first are.

    Raises:
        UsageError: no such model; ``BundleError`` (a kind of it) if the model is damaged.
    """
    bundle = load_bundle(resolve_model(name))
    network = open_network(bundle, precision=precision, threads=threads, device=device, lean=lean)
    where = getattr(network, "device", "cpu")
    log.info(
        "model %s from %s: %d labels, %s on %s",
        bundle.spec.name,
        bundle.path,
        len(bundle.spec.labels),
        precision,
        where,
    )
    return Detector(bundle, network, web=WebLimits())


class Detector:
    """A model and its network; made by ``load``. It holds no state between calls, so threads may share it.

    Every method takes a path, an address of the open web (not where a server made it), a binary file object, or an
    array of shape ``(time,)`` or ``(time, channel)`` with its ``sample_rate``, and raises ``InputError`` if that cannot
    be used; the ``..._many`` forms put it into the result.
    """

    def __init__(
        self,
        bundle: Bundle,
        network: Network,
        *,
        limits: Limits | None = None,
        on_progress: Progress | None = None,
        clocks: Clocks = Clocks(),  # noqa: B008 (frozen)
        channel: int | None = None,
        web: WebLimits | None = None,
    ) -> None:
        self.bundle = bundle
        self._network = network
        self._limits = limits
        self._on_progress = on_progress
        self._clocks = clocks
        self._channel = channel
        self._web = web

    @property
    def spec(self) -> BundleSpec:
        """The specification of the model, as in ``auricle.json``."""
        return self.bundle.spec

    @property
    def network(self) -> Network:
        """The network, for streams that are made elsewhere."""
        return self._network

    def with_postprocess(self, **changes: Any) -> Detector:
        """Return a detector with the same network that makes other events, such as ``min_event_s=0.5``."""
        post = self.spec.postprocess.model_copy(update=changes)
        spec = self.spec.model_copy(update={"postprocess": post})
        return self._with(bundle=replace(self.bundle, spec=spec))

    def with_latency(self, latency_s: float) -> Detector:
        """Return a detector with the same network whose events are announced at most ``latency_s`` after a sound.

        Of streams and of files alike: its ``detect`` gives what its ``stream`` gives. The sooner, the more work, and
        the more scores differ from those of the model's own windows; see ``runtime.latency``.

        Raises:
            UsageError: the model cannot be that quick.
        """
        spec = with_latency(self.spec, latency_s, causal=self._network.running is not None)
        return self._with(bundle=replace(self.bundle, spec=spec))

    def reporting(self, on_progress: Progress) -> Detector:
        """Return the same detector that tells, block by block, how far it is in a recording.

        ``on_progress`` gets the seconds read so far, and those of the whole by its header (None if it is unknown).
        """
        return self._with(on_progress=on_progress)

    def in_time_zone(self, time_zone: str | None, clock_zone: str | None = None) -> Detector:
        """Return the same detector that gives starts of recordings in a time zone.

        Args:
            time_zone: a name such as ``Europe/Berlin``, ``UTC``, or an offset such as ``+02:00``; None leaves starts as
                names and headers say them.
            clock_zone: that of recorders whose names and headers have no offset; ``time_zone`` if None.
        """
        return self._with(clocks=Clocks.of(time_zone, clock_zone))

    @property
    def channel(self) -> int | None:
        """The channel of recordings that is taken, from 1 on; None is the mean of all."""
        return self._channel

    def of_channel(self, channel: int | None) -> Detector:
        """Return the same detector that takes one channel of recordings, from 1 on; None is the mean of all.

        A recording without that channel fails with the code ``no_channel``.

        Raises:
            UsageError: no number from 1 on.
        """
        return self._with(channel=check_channel(channel))

    def _with(self, **changes: Any) -> Detector:
        kept = {
            "limits": self._limits, "on_progress": self._on_progress, "clocks": self._clocks, "channel": self._channel,
            "web": self._web,
        }  # fmt: skip
        return Detector(changes.pop("bundle", self.bundle), self._network, **{**kept, **changes})

    def _at_hand(self, x: AudioInput) -> AbstractContextManager[AudioInput]:
        """Return an input as it is, or what is at an address of the web as a file that goes afterwards."""
        if self._web is None or not is_address(x):
            return nullcontext(x)
        return fetched(x, self._web)

    def _channel_of(self, x: AudioInput) -> int | None:
        """Return the channel that is taken of an input."""
        return x.channel if isinstance(x, Excerpt) and x.channel is not None else self._channel

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's classes, in the order of its scores."""
        return self.spec.labels

    @property
    def embedding_size(self) -> int:
        """Length of the vectors that ``embed`` gives; raises ``UsageError`` if the model has none."""
        self._require_embedding()
        silence = np.zeros((1, self.spec.window_samples), np.float32)
        found = self._network.run(silence, frozenset({EMBEDDING})).embedding
        return 0 if found is None else found.shape[1]

    def tag(
        self,
        x: AudioInput,
        sample_rate: int | None = None,
        *,
        prior_spoof: float | None = None,
        abstain: float | None = None,
        top: int | None = None,
    ) -> TagResult:
        """Say what is in a recording: every label with its score, from high to low.

        Where a recording is longer than a window, and the model has scores over time, each label has the share of the
        time too in which its score reaches the model's threshold.

        Args:
            x: the recording.
            sample_rate: of an array, in Hz.
            prior_spoof: for models that tell bona fide from spoofed speech: the share of spoofed recordings that
                probabilities take for granted, instead of the model's own.
            abstain: largest share of mistakes among what is named: below the score that this takes, nothing is named,
                and the flag ``none_of_these`` says so.
            top: how many of the highest scores are returned; None returns all.
        """
        self.check_prior(prior_spoof)
        self.check_abstain(abstain)
        if top is not None and top < 1:
            raise UsageError(f"top is {top}; at least one score is returned")
        spec = self.spec
        with self._at_hand(x) as source:
            above = _TimeAbove(spec)
            scorer, duration, flags = self._run(
                source,
                sample_rate,
                lambda watch: Scorer(spec, self._network, long_frames=not spec.is_spoof, watch=watch),
                above.add,
            )
            head = self._head(source, duration, flags)
        if not spec.is_spoof:
            scores = calibrated_scores(scorer.clip_scores(), spec)
            shares = above.shares() if scorer.windows > 1 else None
            return abstaining(TagResult(**head, scores=_ranked(spec.labels, scores, shares, top=top)), spec, abstain)
        probabilities, llr, prior = verdict(scorer.clip_scores(), spec, prior_spoof)
        return TagResult(**head, scores=_ranked(spec.labels, probabilities, top=top), llr=llr, prior_spoof=prior)

    def _head(self, x: AudioInput, duration: float, flags: tuple[Flag, ...]) -> dict[str, Any]:
        """Return what all results have: name, length, flags, where it comes from, and which part of it was taken."""
        origin, more = origin_of_input(x, self._clocks)
        part = (x.offset_s, x.offset_s + duration) if isinstance(x, Excerpt) and x.span else None
        return {
            "path": input_name(x), "duration": duration, "flags": flags + more, "origin": origin, "part": part,
            "channel": self._channel_of(x),
        }  # fmt: skip

    def check_abstain(self, rate: float | None) -> None:
        """Raise ``UsageError`` for an error rate that the model does not state; None names whatever is highest."""
        if rate is not None:
            threshold_of(self.spec, rate)

    def check_prior(self, prior_spoof: float | None) -> None:
        """Raise ``UsageError`` for a prior that the model cannot use; None is the model's own."""
        if prior_spoof is None:
            return
        if not self.spec.is_spoof:
            raise UsageError(f"{self.spec.name} does not tell bona fide from spoofed speech: it takes no prior")
        if not 0 < prior_spoof < 1:
            raise UsageError(
                f"the prior of spoofed recordings is {prior_spoof:g}; it lies between 0 and 1, without them"
            )

    def detect(
        self,
        x: AudioInput,
        sample_rate: int | None = None,
        *,
        threshold: Threshold | None = None,
        on_frames: Callable[[FloatArray], object] | None = None,
        bookmark: Bookmark | None = None,
    ) -> DetectResult:
        """Say when sounds happen: events in the order of their onsets.

        Args:
            x: the recording.
            sample_rate: of an array, in Hz.
            threshold: score at which an event begins: the model's own if None, one number, or one for some labels.
            on_frames: is given the raw scores behind the events, ``(frame, label)``, in blocks as they come.
            bookmark: where to continue, and to mark how far it got; the events are those of one go.
        """
        with self._at_hand(x) as source:
            if bookmark is not None and (place := bookmark.take()) is not None:
                try:
                    return self._detect(source, sample_rate, threshold, on_frames, bookmark, place)
                except LostPlaceError:
                    bookmark.remove()
            return self._detect(source, sample_rate, threshold, on_frames, bookmark)

    def _detect(
        self,
        x: AudioInput,
        sample_rate: int | None,
        threshold: Threshold | None,
        on_frames: Callable[[FloatArray], object] | None,
        bookmark: Bookmark | None = None,
        place: Place | None = None,
    ) -> DetectResult:
        tracker = EventTracker(self.spec, threshold)
        events: list[Event] = []
        if place is not None:
            tracker.resume(place.tracker)
            events += place.events

        def keep(frames: FloatArray) -> None:
            if on_frames is not None:
                on_frames(frames)
            events.extend(item for item in tracker.push(frames) if isinstance(item, Event))

        def mark(here: Place) -> None:
            if bookmark is not None and bookmark.due:
                bookmark.put(replace(here, tracker=tracker.parts(), events=events))

        _, duration, flags = self._run(x, sample_rate, self._frame_scorer, keep, place=place, mark=mark)
        events += (item for item in tracker.finish(duration) if isinstance(item, Event))
        if self.spec.frames is None:
            flags += (Flag("window_resolution", {"hop_s": self.spec.hop_s}),)
        if isinstance(x, Excerpt):
            events = [replace(e, onset=e.onset + x.offset_s, offset=e.offset + x.offset_s) for e in events]
        return DetectResult(**self._head(x, duration, flags), events=self._in_order(events))

    def frames(self, x: AudioInput, sample_rate: int | None = None) -> Scores:
        """Return the scores over time, raw: neither smoothed nor compared with thresholds."""
        parts: list[FloatArray] = [np.zeros((0, len(self.labels)), np.float32)]
        with self._at_hand(x) as source:
            self._run(source, sample_rate, self._frame_scorer, parts.append)
        return self.scores(np.concatenate(parts))

    def scores(self, frames: FloatArray) -> Scores:
        """Return the frame scores of a whole recording, shape ``(frame, label)``, with their times."""
        grid, rate = self.spec.grid, self.spec.sample_rate
        return Scores(grid.times(len(frames), rate), frames, self.labels, grid.step_s(rate))

    def events(self, scores: Scores, duration_s: float, *, threshold: Threshold | None = None) -> tuple[Event, ...]:
        """Return the events of a recording from its raw scores, as ``detect`` does.

        Args:
            scores: of ``frames``; nothing smoothed.
            duration_s: of the recording in seconds.
            threshold: as for ``detect``.
        """
        tracker = EventTracker(self.spec, threshold)
        items = [*tracker.push(scores.values), *tracker.finish(duration_s)]
        return self._in_order(item for item in items if isinstance(item, Event))

    def candidates(self, scores: Scores, duration_s: float) -> Scores | tuple[Event, ...]:
        """Return what any threshold could make of raw scores, for ``evaluation.events.psds``, which tries them all.

        The scores as they are smoothed, or for models that make boxes, all boxes with their confidence.
        """
        if self.spec.postprocess.boxes is not None:
            return self.events(scores, duration_s, threshold=0.0)
        return replace(scores, values=smooth_labels(scores.values, median_sizes(self.spec)))

    def _in_order(self, events: Iterable[Event]) -> tuple[Event, ...]:
        index = {label: i for i, label in enumerate(self.labels)}
        return tuple(sorted(events, key=lambda event: (event.onset, index[event.label])))

    def embed(self, x: AudioInput, sample_rate: int | None = None) -> EmbedResult:
        """Return one vector: the mean of the network's embeddings over the windows."""
        self._require_embedding()
        with self._at_hand(x) as source:
            scorer, duration, flags = self._run(
                source, sample_rate, lambda watch: Scorer(self.spec, self._network, embedding=True, watch=watch)
            )
            head = self._head(source, duration, flags)
        return EmbedResult(**head, embedding=scorer.embedding())

    def stream(self, sample_rate: int, *, threshold: Threshold | None = None) -> Stream:
        """Begin a live recording: push blocks of any length, get scores and events when they are certain."""
        return Stream(self.spec, self._network, sample_rate, threshold, self._channel)

    def tag_many(
        self,
        inputs: Iterable[AudioInput],
        sample_rate: int | None = None,
        *,
        prior_spoof: float | None = None,
        abstain: float | None = None,
        jobs: int = 1,
    ) -> Iterator[TagResult]:
        """Tag any number of recordings; one that fails gives a result with its ``error``, and the others continue.

        Args:
            inputs: the recordings.
            sample_rate: of arrays, in Hz.
            prior_spoof: see ``tag``.
            abstain: see ``tag``.
            jobs: recordings worked on at once. Results keep the order of the inputs.
        """
        self.check_prior(prior_spoof)  # a wrong prior is no fault of the recordings
        self.check_abstain(abstain)
        return _each(
            inputs,
            lambda x: self.tag(x, sample_rate, prior_spoof=prior_spoof, abstain=abstain),
            lambda x, error: TagResult(input_name(x), None, error=error, channel=self._channel_of(x)),
            jobs,
        )

    def detect_many(
        self,
        inputs: Iterable[AudioInput],
        sample_rate: int | None = None,
        *,
        threshold: Threshold | None = None,
        jobs: int = 1,
        bookmark_of: Callable[[AudioInput], Bookmark | None] = lambda x: None,
    ) -> Iterator[DetectResult]:
        """Detect in any number of recordings, as ``tag_many``; each with its bookmark, if it has one."""
        EventTracker(self.spec, threshold)  # a wrong threshold is no fault of the recordings
        return _each(
            inputs,
            lambda x: self.detect(x, sample_rate, threshold=threshold, bookmark=bookmark_of(x)),
            lambda x, error: DetectResult(input_name(x), None, error=error, channel=self._channel_of(x)),
            jobs,
        )

    def embed_many(
        self, inputs: Iterable[AudioInput], sample_rate: int | None = None, *, jobs: int = 1
    ) -> Iterator[EmbedResult]:
        """Embed any number of recordings, as ``tag_many``."""
        self._require_embedding()
        return _each(
            inputs,
            lambda x: self.embed(x, sample_rate),
            lambda x, error: EmbedResult(input_name(x), None, error=error, channel=self._channel_of(x)),
            jobs,
        )

    def _frame_scorer(self, watch: Watch | None) -> Scorer | RunningScorer:
        return frame_scorer(self.spec, self._network, watch=watch)

    def _run(
        self,
        x: AudioInput,
        sample_rate: int | None,
        scorer_of: Callable[[Watch | None], S],
        on_frames: Callable[[FloatArray], None] | None = None,
        *,
        place: Place | None = None,
        mark: Callable[[Place], None] | None = None,
    ) -> tuple[S, float, tuple[Flag, ...]]:
        """Score one recording; returns the finished scorer, the duration in seconds and the flags."""
        spec, begin = self.spec, time.perf_counter()
        check = self._check()
        scorer = scorer_of(None if check is None else check.add)
        block_s = BLOCK_S if getattr(self._network, "batch", 1) > 1 else None
        opened = open_input(x, sample_rate, spec.sample_rate, self._limits, block_s, self._channel_of(x))
        with opened as reader:
            replay, read = _Replay(place, scorer, check), 0
            for block in reader:
                read += len(block)
                if self._on_progress is not None:
                    self._on_progress(reader.duration, reader.expected_s)
                if replay.skips(read):
                    continue
                frames = scorer.push(block)
                if on_frames is not None:
                    on_frames(frames)
                if mark is not None:
                    mark(Place(read, scorer.parts(), None, [], [] if check is None else check.distances))
            replay.finish()
            duration, flags = reader.duration, reader.flags
        frames = scorer.finish()
        if on_frames is not None:
            on_frames(frames)
        seen = scorer.samples_seen
        domain_flags = () if check is None else check.flags(seen)
        short = any(flag.code == "too_short" for flag in domain_flags)
        codes = ", ".join(flag.code for flag in (*flags, *domain_flags)) or "no flags"
        log.debug("%s: %.4g s scored in %.3g s, %s", input_name(x), duration, time.perf_counter() - begin, codes)
        return scorer, duration, (*flags, *(() if short else length_flags(spec, seen)), *domain_flags)

    def _check(self) -> DomainCheck | NeighbourCheck | None:
        """Return what compares a recording with those that the model was made of, if it can."""
        spec = self.spec
        if spec.domain is not None:
            return DomainCheck(spec.domain, spec.sample_rate)
        if spec.neighbours is not None and EMBEDDING in self._network.outputs:
            return NeighbourCheck(spec.neighbours, self._neighbours)
        return None

    @cached_property
    def _neighbours(self) -> Neighbours:
        part = self.spec.neighbours
        if part is None:
            raise ValueError("a model without neighbours compares nothing")
        return read_neighbours(self.bundle.read(NEIGHBOURS_FILE), part, str(self.bundle.path))

    def _require_embedding(self) -> None:
        if EMBEDDING not in self._network.outputs:
            raise UsageError(f"{self.spec.name} has no output {EMBEDDING!r}; export it again to get one")


class _Replay:
    """What was scored before a kill is read again, and not scored again."""

    def __init__(
        self, place: Place | None, scorer: Scorer | RunningScorer, check: DomainCheck | NeighbourCheck | None
    ) -> None:
        self._place, self._scorer, self._check = place, scorer, check

    def skips(self, read: int) -> bool:
        """Tell whether the block that ends after ``read`` samples was scored; continue where the mark is."""
        place = self._place
        if place is None:
            return False
        if read > place.samples:
            raise LostPlaceError("the blocks of the recording pass by the place that was marked")
        if read == place.samples:
            self._scorer.resume(place.scorer)
            if self._check is not None:
                self._check.distances = place.distances
            self._place = None
        return True

    def finish(self) -> None:
        """The recording has ended: it must have come to the mark."""
        if self._place is not None:
            raise LostPlaceError("the recording ends before the place that was marked")


class _TimeAbove:
    """Counts in how many frames each label reaches its threshold."""

    def __init__(self, spec: BundleSpec) -> None:
        self._spec = spec
        self._above: IntArray | None = None
        self._frames = 0

    def add(self, frames: FloatArray) -> None:
        """Take scores of shape ``(frame, label)``."""
        if not len(frames):
            return
        if self._above is None:
            spec = self._spec
            self._thresholds = np.array([spec.thresholds[label] for label in spec.labels], np.float32)
            self._above = np.zeros(len(spec.labels), np.int64)
        self._above += (frames >= self._thresholds).sum(axis=0)
        self._frames += len(frames)

    def shares(self) -> FloatArray | None:
        """Return the share of each label, None where there were no frames."""
        return None if self._above is None else (self._above / self._frames).astype(np.float32)


def _ranked(
    labels: Sequence[str], scores: FloatArray, shares: FloatArray | None = None, *, top: int | None = None
) -> tuple[LabelScore, ...]:
    """Return labels with their scores, from high to low; the ``top`` highest, or all."""
    order = np.argsort(-scores, kind="stable")[:top]
    names, values = [labels[i] for i in order.tolist()], scores[order].tolist()
    if shares is None:
        return tuple(map(LabelScore, names, values))
    return tuple(map(LabelScore, names, values, shares[order].tolist()))


def _each(
    inputs: Iterable[AudioInput],
    work: Callable[[AudioInput], R],
    failed: Callable[[AudioInput, Failure], R],
    jobs: int,
) -> Iterator[R]:
    """Yield a result for every input, in order, with at most a few inputs waiting."""
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, got {jobs}")

    def attempt(x: AudioInput) -> R:
        try:
            return work(x)
        except InputError as error:
            return failed(x, Failure(error.code, error.message))
        except AuricleError:  # wrong use, a broken model, an interruption: not this recording's fault
            raise
        except Exception as error:
            log.debug("a fault inside auricle, at %s", input_name(x), exc_info=True)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return failed(x, Failure("internal", text))

    return map(attempt, inputs) if jobs == 1 else _in_threads(inputs, attempt, jobs)


def _in_threads(inputs: Iterable[AudioInput], attempt: Callable[[AudioInput], R], jobs: int) -> Iterator[R]:
    """Work in threads: decoding and the network run outside Python's lock, and share one model."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(jobs, "auricle") as pool:
        try:
            for x in inputs:
                waiting.append(pool.submit(attempt, x))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # the caller stopped early
                future.cancel()
