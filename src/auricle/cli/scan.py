# SPDX-License-Identifier: Apache-2.0
"""``--out DIR``: a scan, with a journal from which it goes on after whatever stopped it."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from auricle import __version__
from auricle.audio.listing import Entry
from auricle.cli.folder import Tally, write_results
from auricle.cli.guard import say
from auricle.cli.options import ScoringOptions
from auricle.cli.progress import Meter, spell_seconds
from auricle.cli.scoring import open_model
from auricle.cli.views import View
from auricle.files import read_json, write_json
from auricle.runtime.bookmark import EVERY_S
from auricle.scanning.folder import BOOKMARKS, JOURNAL, SUMMARY, Scan, opened_scan
from auricle.scanning.task import Record, Task, decode_result

if TYPE_CHECKING:
    from auricle.journal import Journal
    from auricle.runtime.detector import Detector


def scan(
    inputs: Sequence[str], task: Task, options: ScoringOptions, form: str, view_of: Callable[[Detector], View]
) -> None:
    """Scan the inputs into ``options.out``; arguments as in ``scoring.score``.

    Raises:
        typer.Exit: with 1 if an input failed.
    """
    out = Path() if options.out is None else options.out
    form = "json" if form == "table" else form
    detector = open_model(options.model, task, quiet=options.quiet)
    view = view_of(detector)
    request = Scan(inputs, out, task, form, options.follow_links, options.resume, options.overwrite)

    def notice(text: str) -> None:
        if not options.quiet:
            say(f"auricle: {text}")

    with opened_scan(request, detector.bundle, notice) as journal:
        facts = {"model": detector.spec.name, "inputs": journal.total}
        if (failed := _failed_before(out, journal)) is not None:
            notice(f"{out} is finished; nothing to do")
            raise typer.Exit(1 if failed else 0)
        marks = out / JOURNAL / BOOKMARKS
        task = replace(task, bookmarks=str(marks), bookmark_every_s=EVERY_S)
        speed = _work(journal, task, options, view.name, lambda: _unfinished(out, facts, journal))
        tally = write_results(out, view, form, lambda: results_of(journal, task))
        write_json(out / SUMMARY, {**facts, **tally.to_dict(), **speed, "finished": True, "auricle": __version__})
        shutil.rmtree(marks, ignore_errors=True)
    if not options.quiet:
        say(f"auricle: {closing_line(tally, speed)}")
    if tally.failed:
        raise typer.Exit(1)


def _failed_before(out: Path, journal: Journal) -> int | None:
    """Return how many recordings failed in a scan that is finished; None while it is not."""
    if journal.done < journal.total or not (out / SUMMARY).is_file():
        return None
    summary = read_json(out / SUMMARY)
    return int(summary["failed"]) if summary.get("finished") else None


def results_of(journal: Journal, task: Task) -> Iterator[Any]:
    """Yield all results, in the order of the listing."""
    return (decode_result(task.command, record) for _, _, record in journal.results())


def _work(
    journal: Journal, task: Task, options: ScoringOptions, what: str, interrupted: Callable[[], None]
) -> dict[str, float]:
    """Do all that has no record yet; returns how fast that went."""
    start, before = time.monotonic(), journal.done
    pieces = ((index, Entry.from_json(item)) for index, item in journal.claim())
    try:
        work = _engine(options.engine)
        with Meter(what, quiet=options.quiet) as meter:
            for index, record in work(
                task.open,
                pieces,
                jobs=options.jobs,
                timeout_s=options.timeout_s,
                on_pulse=lambda _, pulse: meter.hear(pulse.heard_s, pulse.total_s),
            ):
                journal.record(index, record)
                meter.update(journal.done, journal.total)
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C or SIGTERM; errors speak for themselves
            say(f"auricle: {journal.done} of {journal.total} are recorded; go on with --resume")
        with contextlib.suppress(OSError):  # the disk may be what stopped it
            interrupted()
        raise
    elapsed_s, count = time.monotonic() - start, journal.done - before
    return {
        "elapsed_s": round(elapsed_s, 3),
        "files_per_s": round(count / elapsed_s, 2) if count else 0.0,
    }


def _engine(name: str) -> Callable[..., Iterator[tuple[int, Record]]]:
    """Return what does the work: processes of this machine, or workers of a Ray cluster."""
    if name == "ray":
        from auricle.scale.raywork import work_on_cluster

        return work_on_cluster
    from auricle.scanning.workers import work_in_processes

    return work_in_processes


def _unfinished(out: Path, facts: dict[str, Any], journal: Journal) -> None:
    """Write a summary that says that this is not all."""
    write_json(out / SUMMARY, {**facts, "recorded": journal.done, "finished": False, "auricle": __version__})


def closing_line(tally: Tally, speed: dict[str, float]) -> str:
    """Return the summary in one line."""
    text = f"{tally.done + tally.failed} recordings, {tally.audio_s / 3600:.3g} h"
    if speed["files_per_s"]:
        text += f", in {spell_seconds(speed['elapsed_s'])} ({speed['files_per_s']:g} a second)"
    if tally.failed:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(tally.failures.items(), key=_most_first))
        text += f"; {tally.failed} failed: {codes} (see failures.jsonl)"
    return text


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
