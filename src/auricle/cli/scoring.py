# SPDX-License-Identifier: Apache-2.0
"""What ``tag``, ``detect`` and ``embed`` share: find the inputs, load the model, pass the results on."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from auricle.audio.listing import STDIN, Entry, Listing
from auricle.cli.guard import say
from auricle.cli.options import ScoringOptions
from auricle.cli.progress import Meter
from auricle.cli.views import View
from auricle.cli.writers import open_stream
from auricle.errors import UsageError
from auricle.runtime.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from auricle.runtime.detector import Detector
    from auricle.scanning.task import Task

Source = str | BinaryIO


class Stdin(io.BytesIO):
    """What came through stdin, under the name that results show."""

    name = STDIN


def score(
    inputs: Sequence[str],
    task: Task,
    options: ScoringOptions,
    form: str,
    view_of: Callable[[Detector], View],
    many: Callable[[Detector, Iterable[Source]], Iterator[Any]],
) -> None:
    """Score all inputs and write the results to stdout, or scan them into the folder ``--out``.

    Args:
        inputs: as the user typed them.
        task: what is done with each.
        options: those that the three commands share.
        form: of the results.
        view_of: returns how the results of a model look.
        many: returns the results of recordings, in their order.

    Raises:
        typer.Exit: with 1 if an input failed.
    """
    _check_options(options)
    if options.out is not None:
        from auricle.cli.scan import scan

        scan(inputs, task, options, form, view_of)
        return
    entries = find_entries(inputs, follow_links=options.follow_links, quiet=options.quiet)
    detector = open_model(options.model, task, quiet=options.quiet)
    view = view_of(detector)
    with Meter(view.name, quiet=options.quiet) as meter:
        if options.jobs == 1:  # several at once would speak at the same time
            detector = detector.reporting(meter.hear)
        results = in_order(entries, lambda sources: many(detector, sources), task)
        _write(results, view, form, meter, total=len(entries), quiet=options.quiet)


def _check_options(options: ScoringOptions) -> None:
    if options.out is None:
        ray = options.engine == "ray"
        given = {"--resume": options.resume, "--overwrite": options.overwrite, "--engine ray": ray}
        for name in (name for name, value in given.items() if value):
            raise UsageError(f"{name} is for a scan into a folder: give --out DIR too")


def find_entries(inputs: Sequence[str], *, follow_links: bool, quiet: bool) -> list[Entry]:
    """Return the recordings that ``inputs`` name."""
    listing = Listing(inputs, follow_links=follow_links)
    entries = list(listing)
    if sum(entry.path == STDIN for entry in entries) > 1:
        raise UsageError("- (stdin) stands twice among the inputs; it can be read once")
    if listing.links_outside and not quiet:
        say(f"auricle: {listing.links_outside} links lead out of their folder and are not followed (--follow-links)")
    return entries


def open_model(name: str | None, task: Task, *, quiet: bool) -> Detector:
    """Load the model, saying once on stderr which one when none was named; refuse thresholds it has no labels for."""
    from auricle.api import load
    from auricle.runtime.thresholds import check_labels

    if name is None and not quiet:
        say(f"auricle: no --model given, using {DEFAULT_MODEL}")
    detector = load(task.model, precision=task.precision)
    check_labels(task.thresholds, detector.labels)
    detector.check_prior(task.prior_spoof)
    return detector


def in_order(entries: Iterable[Entry], many: Callable[[Iterable[Source]], Iterator[Any]], task: Task) -> Iterator[Any]:
    """Yield a result for every entry, in order; those that the listing has refused are not opened.

    ``-`` is read from stdin, which has no length, into memory.
    """
    from auricle.scanning.task import completed, decode_result, failed_record

    waiting: deque[Entry] = deque()

    def sources() -> Iterator[Source]:
        for entry in entries:
            waiting.append(entry)
            if entry.error is None:
                yield Stdin(sys.stdin.buffer.read()) if entry.path == STDIN else entry.path

    def refused() -> Iterator[Any]:
        while waiting and (error := waiting[0].error) is not None:
            yield decode_result(task.command, failed_record(waiting.popleft(), error))

    for result in many(sources()):
        yield from refused()
        yield completed(result, waiting.popleft())
    yield from refused()


def _write(results: Iterable[Any], view: View, form: str, meter: Meter, *, total: int, quiet: bool) -> None:
    """Write every result to stdout; exits 1 if an input failed."""
    writer = open_stream(view, form, sys.stdout)
    failed = 0
    finished = False
    try:
        for done, result in enumerate(results, 1):
            writer.write(result)
            failed += result.error is not None
            meter.update(done, total)
        meter.close()
        finished = True
    finally:
        writer.close(finished)
    if failed:
        if total > 1 and not quiet:
            say(f"auricle: {failed} of {total} inputs failed")
        raise typer.Exit(1)
