# SPDX-License-Identifier: Apache-2.0
"""The folder of a scan: who may use it, what it must not lose, and the journal in it.

scores.jsonl, failures.jsonl, summary.json     what a user wants; written when all is done
journal/                                       what was done; a killed scan resumes from it
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auricle import __version__
from auricle.audio.listing import STDIN
from auricle.errors import UsageError
from auricle.files import FolderLock, sha256_file
from auricle.journal import Journal, has_journal, open_journal, start_journal
from auricle.output_folder import OutputFolder
from auricle.runtime.bundle import SPEC_FILE, Bundle
from auricle.scanning.listing import Selection
from auricle.scanning.task import Task

JOURNAL = "journal"
SUMMARY = "summary.json"
#: In the journal's folder: how far it got in recordings of hours.
BOOKMARKS = "bookmarks"
#: Names that a scan writes, whatever its format; with ``overwrite`` these are removed and nothing else.
OURS = frozenset(
    [JOURNAL, SUMMARY, "failures.jsonl", "labels"]
    + [f"{stem}{suffix}" for stem in ("scores", "events", "embeddings") for suffix in (".jsonl", ".csv", ".parquet")]
    + [f"events{suffix}" for suffix in (".selections.txt", ".birdnet.csv", ".kaleidoscope.csv", ".rttm")]
)
#: What a recording takes on the disk, in the listing, the journal and the results, where little is found in it.
_BYTES_PER_RECORDING = 600


@dataclass(frozen=True)
class FolderScan:
    """What is to be scanned, with what, and where the results go.

    Attributes:
        selection: which recordings.
        out: the folder.
        task: what is done with each recording.
        format: of the results.
        jobs: recordings at the same time.
        timeout_s: seconds that one recording may bring nothing.
        resume: resume the scan in ``out``.
        overwrite: throw away the scan in ``out``.
    """

    selection: Selection
    out: Path
    task: Task
    format: str = "json"
    jobs: int = 1
    timeout_s: float = 600.0
    resume: bool = False
    overwrite: bool = False


def plan_of(request: FolderScan, bundle: Bundle) -> dict[str, Any]:
    """Return what decides the results: a scan continues only if nothing of it has changed.

    How it is carried out, with how many jobs and on which machine, may change.
    """
    task, selection = request.task, request.selection
    relative = any(not os.path.isabs(name) for name in selection.inputs)  # noqa: PTH117
    return {
        "command": task.command,
        "model": f"{bundle.spec.name} ({sha256_file(bundle.path / SPEC_FILE)[:16]})",
        "precision": task.precision,
        "top": task.top,
        **({"classes": list(task.classes)} if task.classes else {}),
        "threshold": {"default": task.thresholds.default, **task.thresholds.labels},
        "prior_spoof": task.prior_spoof,
        **({} if task.abstain is None else {"abstain": task.abstain}),
        "format": request.format,
        "events": {**asdict(task.events), "labels": list(task.events.labels)},
        "cutouts": None if task.cutouts is None else asdict(task.cutouts),
        "clock": [task.time_zone, task.clock_zone, task.clock],
        **({} if task.channel is None else {"channel": task.channel}),
        **selection.plan(),
        "working_folder": str(Path.cwd()) if relative else None,
        "version": __version__,
    }


@contextmanager
def opened_scan(request: FolderScan, plan: dict[str, Any], notice: Callable[[str], None]) -> Iterator[Journal]:
    """Claim the folder, list the recordings or find an earlier list, and give the journal.

    Raises:
        RunError: the folder holds something else, is in use, or its scan was started differently.
        UsageError: it cannot be written, or the inputs hold no recording.
    """
    _check_folder(request)
    folder = request.out / JOURNAL
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FolderLock(folder))
            journal = stack.enter_context(_journal(request, folder, plan, notice))
        except OSError as error:
            raise UsageError(
                f"--out {request.out}: cannot write there ({error.strerror}); choose another folder"
            ) from error
        if journal.damaged:
            notice(f"{journal.damaged} torn records dropped; those recordings are done again")
        if 0 < journal.done < journal.total:
            notice(f"going on: {journal.done} of {journal.total} are done")
        _check_space(request.out, journal)
        yield journal


def _journal(request: FolderScan, folder: Path, plan: dict[str, Any], notice: Callable[[str], None]) -> Journal:
    """Open the journal, after starting it if there is none."""
    if request.overwrite:
        _empty(request.out)
    if not has_journal(folder):
        if request.resume:
            notice("no journal yet: starting from the first recording")
        start_journal(folder, plan, (entry.to_json() for entry in request.selection.entries(notice)))
    return open_journal(folder, plan)


def _check_folder(request: FolderScan) -> None:
    """Refuse a folder that would lose something."""
    out = request.out
    if STDIN in request.selection.inputs:
        raise UsageError("- (stdin) cannot be read again, so it goes without --out; save it to a file")
    # A journal's folder without a journal holds nothing yet.
    unimportant = frozenset() if has_journal(out / JOURNAL) else frozenset({JOURNAL})
    folder = OutputFolder(out, "a scan", is_own=_is_own, unimportant=unimportant)
    folder.require_own(resume=request.resume, overwrite=request.overwrite)


def _is_own(name: str) -> bool:
    return name in OURS or name.endswith((".part", ".tmp"))


def _empty(out: Path) -> None:
    """Remove what an earlier scan left, but the lock that this one holds."""
    for path in [*out.iterdir(), *(out / JOURNAL).iterdir()]:
        if path == out / JOURNAL or path.name == "lock":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _check_space(out: Path, journal: Journal) -> None:
    """Stop now rather than later if the results cannot fit on the disk."""
    needed = (journal.total - journal.done) * _BYTES_PER_RECORDING
    free = shutil.disk_usage(out).free
    if free < needed:
        raise UsageError(
            f"--out {out}: {free / 1e6:.0f} MB are free, and {journal.total - journal.done} results take "
            f"at least {needed / 1e6:.0f} MB; free some space or choose another folder, then continue with --resume"
        )
