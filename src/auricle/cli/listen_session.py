# SPDX-License-Identifier: Apache-2.0
"""What ``listen`` does: open the source of sound, pass it through the model, and print events as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TextIO

from auricle.audio.microphone import Gap, Microphone, find_backend, list_microphones
from auricle.audio.pcm import PcmReader
from auricle.cli.guard import say
from auricle.cli.live_table import Display, JsonDisplay, LineDisplay, TableDisplay
from auricle.cli.progress import spell_seconds
from auricle.cli.tables import print_table
from auricle.errors import UsageError
from auricle.results import Event, FloatArray
from auricle.runtime.detector import Detector
from auricle.runtime.model_names import DEFAULT_MODEL
from auricle.runtime.recording import Recording
from auricle.runtime.tracker import Threshold

#: How late ``listen`` is where nothing else is asked for, beside the shortest event; 3 % of decisions change by it
#: (``docs/results/general.md``).
LATENCY_S = 4.0


class Source(Protocol):
    """Blocks of sound ``(time, channel)``, and gaps where there are any."""

    sample_rate: int

    def __iter__(self) -> Any: ...


def tuned_detector(
    model: str | None,
    precision: str,
    *,
    patience_s: float | None = None,
    debounce_s: float | None = None,
    latency_s: float | None = None,
    quiet: bool,
) -> Detector:
    """Load the model, with another shortest event, another longest gap and another latency where they are given."""
    from auricle.api import load

    if model is None and not quiet:
        say(f"auricle: no --model given, using {DEFAULT_MODEL}")
    detector = load(DEFAULT_MODEL if model is None else model, precision=precision)
    given = {"min_event_s": patience_s, "max_gap_s": debounce_s}
    changes = {name: float(value) for name, value in given.items() if value is not None}
    detector = detector.with_postprocess(**changes) if changes else detector
    if latency_s is None:
        spec = detector.spec
        divisible = spec.margin_s and detector.network.running is None
        return detector.with_latency(LATENCY_S + spec.postprocess.min_event_s) if divisible else detector
    return detector.with_latency(latency_s)


def open_pipe(
    source: str, rate: int | None, sample_format: str | None, channels: int | None, microphone: str | None
) -> PcmReader:
    """Return what comes through stdin.

    Raises:
        UsageError: another source, or an option of the microphone.
    """
    if source != "-":
        raise UsageError(f"got {source!r}; listen reads the microphone or - (stdin): use `auricle detect` for files")
    if microphone is not None:
        raise UsageError("--microphone goes without -: either the microphone or stdin is read")
    return PcmReader(sys.stdin.buffer, sample_rate=rate, format=sample_format, channels=channels)


def open_microphone(name: str | None, rate: int | None, plain: Sequence[object], backend: Any = None) -> Microphone:
    """Return the microphone.

    Raises:
        UsageError: options of stdin (``plain``), or no such microphone.
    """
    if any(option is not None for option in plain):
        raise UsageError("--sample-format and --channels are for samples on stdin: auricle listen - --rate 16000")
    device = int(name) if name is not None and name.isdigit() else name
    return Microphone(find_backend() if backend is None else backend, device, rate)


def show_microphones(stream: TextIO, backend: Any = None) -> None:
    """Print the microphones as a table."""
    found = list_microphones(find_backend() if backend is None else backend)
    if not found:
        say("auricle: there is no microphone; plug one in, or pipe samples in: auricle listen -")
    print_table(("number", "name", "channels", "rate_hz"), found, stream)


def print_events(
    detector: Detector,
    source: Source,
    threshold: Threshold | None,
    *,
    format: str,
    stream: TextIO,
    quiet: bool,
    kept: Sequence[str] | None = None,
) -> None:
    """Print the events of ``source`` until it ends, or until it is interrupted: then with the events so far.

    Of all labels, or of those that are ``kept``; the scores that a table shows are of all.
    """
    recording = Recording(detector.spec, detector.network, source.sample_rate, threshold)
    display = _make_display(format, stream, detector)
    if not quiet:
        say(
            f"auricle: listening with {detector.spec.name} at {source.sample_rate} Hz; "
            f"latency up to {recording.latency_s:.2g} s (Ctrl-C ends)"
        )
    printer = _Printer(recording, display, quiet=quiet, kept=kept)
    try:
        with display:
            try:
                printer.follow(source)
            finally:
                if not isinstance(sys.exception(), BrokenPipeError):
                    printer.finish()
    finally:
        printer.close(source)


def _make_display(format: str, stream: TextIO, detector: Detector) -> Display:
    if format == "json":
        return JsonDisplay(stream)
    if stream.isatty():
        return TableDisplay(stream, detector.labels)
    return LineDisplay(stream)


class _Printer:
    """Passes blocks on, and counts what was printed."""

    def __init__(
        self, recording: Recording, display: Display, *, quiet: bool, kept: Sequence[str] | None = None
    ) -> None:
        self._recording, self._display, self._quiet, self._kept = recording, display, quiet, kept
        self._events = 0
        self._waiting: list[FloatArray] = []
        self._samples = 0

    def follow(self, source: Source) -> None:
        """Read to the end. Blocks wait until something new can come of them: small pieces cost no more than large."""
        for block in source:
            if isinstance(block, Gap):
                self._push()
                at = self._recording.duration_s
                self._tell(self._recording.gap(block.gap_s, block.sample_rate))
                self._display.gap(block, at)
                if not self._quiet:
                    say(f"auricle: {_spell_gap(block)} at {at:.1f} s; what was open ends there")
                continue
            self._waiting.append(block)
            self._samples += len(block)
            if self._samples >= self._recording.samples_to_next:
                self._push()

    def finish(self) -> None:
        """End the recording and print the rest."""
        self._push()
        self._tell(self._recording.flush())

    def close(self, source: Source) -> None:
        """Let go of the source, and say how it went."""
        if isinstance(source, Microphone):
            source.close()
        if not self._quiet:
            say(f"auricle: {self._events} events in {spell_seconds(self._recording.duration_s)}")

    def _push(self) -> None:
        import numpy as np

        if self._waiting:
            blocks, self._waiting, self._samples = self._waiting, [], 0
            self._tell(self._recording.push(np.concatenate(blocks)))

    def _tell(self, items: Iterable[Any]) -> None:
        items = [item for item in items if self._kept is None or getattr(item, "label", None) in (None, *self._kept)]
        self._events += sum(isinstance(item, Event) for item in items)
        self._display.tell(items, self._recording.duration_s)
        flags = self._recording.new_flags()
        if flags:
            self._display.flags(flags)
            if not self._quiet:
                say(f"auricle: flags: {', '.join(flag.code for flag in flags)}")


def _spell_gap(gap: Gap) -> str:
    if gap.reason == "lost":
        return f"the microphone was lost and is back after {gap.gap_s:.1f} s"
    return f"{gap.gap_s:.2g} s of sound were lost (overrun)" if gap.gap_s else "some sound was lost (overrun)"
