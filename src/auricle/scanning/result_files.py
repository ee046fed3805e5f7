# SPDX-License-Identifier: Apache-2.0
"""Results as a folder: the results themselves, ``failures.jsonl`` and ``summary.json``. What has its name is whole."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from auricle.files import atomic_write, json_line, mirrored
from auricle.scanning.parquet import write_parquet
from auricle.scanning.views import View
from auricle.scanning.writers import open_writer


class Tally:
    """Counts over results: how many, how long, what went wrong."""

    def __init__(self) -> None:
        self.done = self.failed = 0
        self.flags: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.audio_s = 0.0

    def add(self, result: Any) -> None:
        """Count one result."""
        self.flags.update({flag.code for flag in result.flags})
        if result.error is not None:
            self.failed += 1
            self.failures[result.error.code] += 1
            return
        self.done += 1
        if result.duration is not None:
            self.audio_s += result.duration

    @staticmethod
    def from_dict(counts: dict[str, Any]) -> Tally:
        """Return the counts that ``summary.json`` holds."""
        tally = Tally()
        tally.done, tally.failed, tally.audio_s = counts["done"], counts["failed"], counts["audio_s"]
        tally.flags, tally.failures = Counter(counts["flags"]), Counter(counts["failures"])
        return tally

    def to_dict(self) -> dict[str, Any]:
        """Return the counts of ``summary.json``."""
        return {
            "done": self.done,
            "failed": self.failed,
            "failures": dict(sorted(self.failures.items())),
            "flags": dict(sorted(self.flags.items())),
            "audio_s": round(self.audio_s, 3),
        }


def write_results(folder: Path, view: View, format: str, results: Callable[[], Iterable[Any]]) -> Tally:
    """Write the results, and the failures among them, each file whole or not at all.

    Args:
        folder: where; must exist.
        view: how the command's results look.
        format: of the results: json, csv, or a format of the view's own; ``audacity`` is a file for each recording,
            ``parquet`` a folder of parts.
        results: gives all results in their order, each time it is called; they are never held together.
    """
    tally = Tally()

    def counted() -> Iterator[Any]:
        for result in results():
            tally.add(result)
            yield result

    if format == "audacity":
        good = (result for result in counted() if result.error is None)
        for _, parts in groupby(good, key=lambda result: (result.path, result.channel)):
            _write_labels(folder / "labels", view, list(parts))
    elif format == "parquet":
        write_parquet(folder / result_file(view, format), view, counted())
    else:
        atomic_write(folder / result_file(view, format), lambda file: _dump(view, format, counted(), file))
    failed = (
        {"path": r.path, **({} if r.channel is None else {"channel": r.channel}), **r.error.to_dict()}
        for r in results()
        if r.error is not None
    )
    lines = (_bytes(json_line(line)) for line in failed)
    atomic_write(folder / "failures.jsonl", lambda file: file.writelines(lines))
    return tally


def result_file(view: View, format: str) -> str:
    """Return the name of the file that holds the results, such as ``scores.jsonl``."""
    known = view.files.get(format)
    return view.name + (
        {"json": ".jsonl", "csv": ".csv", "parquet": ".parquet"}[format] if known is None else known.suffix
    )


def _dump(view: View, format: str, results: Iterator[Any], file: BinaryIO) -> None:
    """Write all results into a binary file."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    if format in view.files:
        text.writelines(view.files[format].dump(result for result in results if result.error is None))
    else:
        writer = open_writer(view, format, text)
        for result in results:
            writer.write(result)
    text.detach()


def _write_labels(folder: Path, view: View, parts: Sequence[Any]) -> None:
    """Write the labels of one recording, which may have come in parts, in a tree like that of the recordings."""
    labels, first = view.files["audacity"], parts[0]
    place = mirrored(folder, first.path)
    channel = "" if first.channel is None else f".channel{first.channel}"
    target = place.with_name(f"{place.name}{channel}{labels.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, _bytes("".join(labels.dump(parts))))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
