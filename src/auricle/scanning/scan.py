# SPDX-License-Identifier: Apache-2.0
"""One model over many recordings: results as they come, or into a folder with a journal that a scan resumes from."""

from __future__ import annotations

import contextlib
import html
import logging
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from auricle import __version__
from auricle.audio.listing import STDIN, Entry
from auricle.errors import UsageError
from auricle.files import read_json, write_json
from auricle.journal import Journal, open_journal
from auricle.runtime.detector import Detector
from auricle.runtime.long_file_progress import EVERY_S
from auricle.scanning.folder import BOOKMARKS, JOURNAL, SUMMARY, FolderScan, opened_scan, plan_of
from auricle.scanning.listing import Selection
from auricle.scanning.result_files import Tally, write_results
from auricle.scanning.task import Record, Result, Source, Task, completed, decode_result, failed_record, source_of
from auricle.scanning.views import View, view_of
from auricle.scanning.writers import Writer
from auricle.tabular import Columns, Tabular, joined

#: What does the work: ``scanning.workers.work_in_processes``, or its counterpart on a cluster.
Engine = Callable[..., Iterator[tuple[int, Record]]]
log = logging.getLogger(__name__)


class ScanProgress:
    """Listener of a scan; override what is wanted."""

    def default_model(self) -> None:
        """No model was named, so the built-in one is used."""

    def notice(self, text: str) -> None:
        """Something that was decided or noticed, one line."""

    def interrupted(self, text: str) -> None:
        """The scan was stopped; how to resume it, one line."""

    def begin(self, what: str) -> None:
        """Work begins; ``what`` names the results."""

    def recording(self, done_s: float, total_s: float | None) -> None:
        """``done_s`` seconds of a recording are done; ``total_s`` is None where its header does not say."""

    def update(self, done: int, total: int) -> None:
        """``done`` of ``total`` recordings are done."""

    def end(self) -> None:
        """No more work."""


@dataclass(frozen=True, repr=False)
class ScanResult(Tabular):
    """Results of recordings in the order of their listing. Iterate over it; they are never held together.

    Attributes:
        view: how one result looks as JSON and in tables.
        total: recordings that were listed, failed ones included.
        read: returns the results: computes them, or reads them where they were recorded.
        out: the folder of the scan; None where results are computed on the way.
        tally: counts over the results of a folder.
        speed: ``elapsed_s`` and ``files_per_s``; None where there was nothing to do any more.
    """

    view: View
    total: int
    read: Callable[[], Generator[Result, None, None]]
    out: Path | None = None
    tally: Tally | None = None
    speed: dict[str, float] | None = None

    def __iter__(self) -> Iterator[Result]:
        return self.read()

    def __repr__(self) -> str:
        """Return the scan in one line; nothing is computed for it."""
        place = "" if self.out is None else f" in {str(self.out)!r}"
        return f"<ScanResult {self.view.name} of {self.total} recordings{place}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: that line, since rows may have to be computed."""
        return f"<p>{html.escape(repr(self))}</p>"

    def columns(self) -> Columns:
        """Return the columns of all results, one below the other; computes what has not been."""
        return joined(result.columns() for result in self)

    def write(self, writer: Writer) -> Tally:
        """Pass all results on to ``writer``, one by one; returns their counts."""
        tally = Tally()
        finished = False
        try:
            with closing(self.read()) as results:
                for result in results:
                    writer.write(result)
                    tally.add(result)
            finished = True
        finally:
            writer.close(finished)
        return tally


# --- without a folder


def find_entries(selection: Selection, *, notice: Callable[[str], None]) -> list[Entry]:
    """Return the recordings that are selected.

    Raises:
        UsageError: none, or stdin twice.
    """
    entries = list(selection.entries(notice))
    if sum(entry.path == STDIN for entry in entries) > 1:
        raise UsageError("- (stdin) stands twice among the inputs; it can be read once")
    return entries


def scan_entries(
    entries: Sequence[Entry], task: Task, detector: Detector, *, jobs: int, progress: ScanProgress
) -> ScanResult:
    """Return the results of recordings, computed as they are asked for; ``jobs`` of them at a time, in threads."""
    view = view_of(task, detector)

    def read() -> Generator[Result, None, None]:
        progress.begin(view.name)
        # Several at once would report at the same time.
        worker = detector.reporting(progress.recording) if jobs == 1 else detector
        try:
            results = in_order(entries, lambda sources: task.results(worker, sources, jobs=jobs), task)
            for done, result in enumerate(results, 1):
                yield result
                progress.update(done, len(entries))
        finally:
            progress.end()

    return ScanResult(view, len(entries), read)


class Stdin(BytesIO):
    """What came through stdin, under the name that results show."""

    name = STDIN


def in_order(
    entries: Iterable[Entry], many: Callable[[Iterable[Source]], Iterator[Result]], task: Task
) -> Iterator[Result]:
    """Yield a result for every entry, in order; those that the listing has refused are not opened.

    ``-`` is read from stdin, which has no length, into memory.
    """
    waiting: deque[Entry] = deque()

    def sources() -> Iterator[Source]:
        for entry in entries:
            waiting.append(entry)
            if entry.error is None:
                yield Stdin(sys.stdin.buffer.read()) if entry.path == STDIN else source_of(entry)

    def refused() -> Iterator[Result]:
        while waiting and (error := waiting[0].error) is not None:
            yield decode_result(task.command, failed_record(waiting.popleft(), error))

    for result in many(sources()):
        yield from refused()
        yield completed(result, waiting.popleft())
    yield from refused()


# --- into a folder


def scan_into_folder(request: FolderScan, detector: Detector, engine: Engine, progress: ScanProgress) -> ScanResult:
    """Scan all recordings into a folder, resuming what was begun there.

    Raises:
        RunError: the folder holds something else, is in use, or its scan was started differently.
        UsageError: it cannot be written, or the inputs hold no recording.
    """
    out, task = request.out, request.task
    view = view_of(task, detector)
    if request.format not in (allowed := ["json", "csv", "parquet", *sorted(set(view.files) - {"csv"})]):
        raise UsageError(f"format {request.format!r} is not one of {task.command}'s: {', '.join(allowed)}")
    plan = plan_of(request, detector.bundle)
    with opened_scan(request, plan, progress.notice) as journal:
        facts = {"model": detector.spec.name, "inputs": journal.total}
        result = ScanResult(view, journal.total, lambda: _read_back(out, plan, task), out)
        if (tally := _tally_before(out, journal)) is not None:
            progress.notice(f"{out} is finished; nothing to do")
            return replace(result, tally=tally)
        marks = out / JOURNAL / BOOKMARKS
        task = replace(task, bookmarks=str(marks), bookmark_every_s=EVERY_S)
        speed = _work(journal, replace(request, task=task), engine, view.name, progress, facts)
        tally = write_results(out, view, request.format, lambda: _results_of(journal, task))
        write_json(out / SUMMARY, {**facts, **tally.to_dict(), **speed, "finished": True, "auricle": __version__})
        shutil.rmtree(marks, ignore_errors=True)
    return replace(result, tally=tally, speed=speed)


def _tally_before(out: Path, journal: Journal) -> Tally | None:
    """Return the counts of a scan that is finished; None while it is not."""
    if journal.done < journal.total or not (out / SUMMARY).is_file():
        return None
    summary = read_json(out / SUMMARY)
    return Tally.from_dict(summary) if summary.get("finished") else None


def _read_back(out: Path, plan: dict[str, Any], task: Task) -> Generator[Result, None, None]:
    with open_journal(out / JOURNAL, plan) as journal:
        yield from _results_of(journal, task)


def _results_of(journal: Journal, task: Task) -> Iterator[Result]:
    """Yield all results, in the order of the listing."""
    return (decode_result(task.command, record) for _, _, record in journal.results())


def _work(
    journal: Journal, request: FolderScan, engine: Engine, what: str, progress: ScanProgress, facts: dict[str, Any]
) -> dict[str, float]:
    """Do all that has no record yet; returns how fast that went. An interruption leaves a summary that says so."""
    start, before = time.monotonic(), journal.done
    log.info(
        "%s: %d of %d recordings to score, %d jobs", request.out, journal.total - before, journal.total, request.jobs
    )
    pieces = ((index, Entry.from_json(item)) for index, item in journal.pending())
    try:
        progress.begin(what)
        for index, record in engine(
            request.task.open,
            pieces,
            jobs=request.jobs,
            timeout_s=request.timeout_s,
            on_pulse=lambda _, pulse: progress.recording(pulse.done_s, pulse.total_s),
        ):
            journal.record(index, record)
            progress.update(journal.done, journal.total)
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C or SIGTERM; errors have messages of their own
            progress.interrupted(f"{journal.done} of {journal.total} are recorded; continue with --resume")
        with contextlib.suppress(OSError):  # the disk may be what stopped it
            unfinished = {**facts, "recorded": journal.done, "finished": False, "auricle": __version__}
            write_json(request.out / SUMMARY, unfinished)
        raise
    finally:
        progress.end()
    elapsed_s, count = time.monotonic() - start, journal.done - before
    return {
        "elapsed_s": round(elapsed_s, 3),
        "files_per_s": round(count / elapsed_s, 2) if count else 0.0,
    }
