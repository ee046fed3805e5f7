# SPDX-License-Identifier: Apache-2.0
"""``auricle data fetch``: the terms, the question, the progress, and what came of it."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from auricle.cli.guard import confirm_download, say
from auricle.cli.progress import Meter
from auricle.cli.report_output import print_object
from auricle.cli.tables import print_table
from auricle.data.fetch.catalogue import SOURCES
from auricle.data.fetch.dataset import RECORD, fetch, terms_of

_MB = 1_000_000


def list_sources() -> None:
    """Print the data sets that are known."""
    rows = [(name, SOURCES.get(name).bytes // _MB, SOURCES.get(name).title) for name in SOURCES]
    print_table(("name", "MB", "what it is"), rows, sys.stdout)


def fetch_and_tell(
    name: str, out: Path, *, archive: Path | None, url: str | None, yes: bool, format: str, quiet: bool
) -> None:
    """Show the terms, ask, fetch, and print what to train on.

    Raises:
        UsageError: no answer can be had, or it is no.
    """
    terms = terms_of(name)
    done_before = (out / RECORD).is_file()
    if not done_before:
        say(terms)
        if archive is None and not yes:
            confirm_download()
    with ExitStack() as stack:
        stages: dict[str, Meter] = {}

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in stages:
                for meter in stages.values():
                    meter.close()
                stages[stage] = stack.enter_context(Meter(f"{stage}, MB", quiet=quiet))
            if total is not None:
                stages[stage].update(done // _MB, total // _MB)

        report = fetch(name, out, progress, archive=archive, url=url)
    if format == "json":
        print_object(report.to_dict(), sys.stdout)
        return
    if done_before:
        say(f"auricle: {out} is finished; nothing to do")
    word = "verified" if report.verified else "unverified: recorded in fetched.json, compared with nothing"
    print(f"data     {report.path}\nsha256   {report.sha256} ({word})")
    if report.left_out:
        print(f"left out {report.left_out} links or devices in the archive")
    print(f"train it with: auricle train {report.path} --out models/{name}")
