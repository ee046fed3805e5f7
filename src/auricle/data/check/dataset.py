# SPDX-License-Identifier: Apache-2.0
"""What ``auricle data check`` says: what a data set holds, what to know about it, and what stops it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auricle.data.balance import measure_balance
from auricle.data.check.duplicates import crossing, find_duplicates
from auricle.data.check.recordings import Findings, inspect_headers, inspect_samples
from auricle.data.check.report import CheckReport
from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Manifest
from auricle.data.splits import NO_DEV, PARTS, check_leaks, check_trainable, few_clips, make_split, missing_classes
from auricle.errors import DataError
from auricle.results import Flag, rounded

#: Share of unreadable recordings above which the data set is refused.
MAX_UNREADABLE = 0.1
_NEGATIVE_ROW = "(negative)"


def check(
    path: str | Path, *, deep: bool = False, progress: Callable[[int, int], None] | None = None, **reading: Any
) -> CheckReport:
    """Check a data set; what is wrong with it is in the report, never raised.

    Args:
        path: a folder or a table.
        deep: decode every clip instead of reading headers: finds damage, silence, clipping and equal audio
            in different files.
        progress: called with (done, total) as recordings are looked at.
        **reading: as for ``read_manifest``.
    """
    try:
        manifest = read_manifest(path, **reading)
    except DataError as error:
        problems = error.problems if error.problems else (error.summary,)
        return CheckReport(str(path), problems=problems, notes=(error.summary,) if error.problems else ())
    findings = inspect_samples(manifest, progress=progress) if deep else inspect_headers(manifest, progress=progress)
    same = sorted({*find_duplicates(manifest), *findings.same_audio})
    stops = [*_structural_problems(manifest), *crossing(manifest, same), *findings.problems.lines()]
    stops += _unreadable(findings)
    return CheckReport(
        str(path),
        tuple(stops),
        _flags(manifest, findings, same),
        (*manifest.notes, *_advice(manifest)),
        _facts(manifest, findings),
    )


def _structural_problems(manifest: Manifest) -> list[str]:
    """Return what stops training: nothing to learn, or groups on two sides."""
    problems: list[str] = []
    parts = _sides(manifest, "split")
    leaks = [partial(check_leaks, manifest, sides) for sides in (parts, _sides(manifest, "fold"))]
    for test in (partial(check_trainable, manifest), *leaks):
        try:
            test()
        except DataError as error:
            problems.extend(error.problems)
    if parts and "train" not in parts:
        problems.append("the data names parts, but none of its clips is in train")
    if not problems:
        try:
            make_split(manifest)  # as training would
        except DataError as error:
            problems.extend(error.problems)
    return problems


def _advice(manifest: Manifest) -> tuple[str, ...]:
    """Return what training would say of the data, a line each."""
    counts = dict(zip(manifest.labels, map(int, manifest.hard_targets().sum(axis=0)), strict=True))
    try:
        notes = make_split(manifest).notes
    except DataError:
        return ()
    return tuple(filter(None, (few_clips(counts), *(note for note in notes if note.startswith(NO_DEV)))))


def _sides(manifest: Manifest, kind: str) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return clips by part (``split``) or by fold."""
    values = [getattr(clip, kind) for clip in manifest.clips]
    names = [p for p in PARTS if p in values] if kind == "split" else list(manifest.folds)
    prefix = "" if kind == "split" else "fold "
    return {f"{prefix}{n}": np.array([i for i, v in enumerate(values) if v == n], np.int64) for n in names}


def _unreadable(findings: Findings) -> list[str]:
    """Return the causes of unreadable recordings, if there are too many."""
    count = sum(n for n, _, _ in findings.failures.values())
    if count <= MAX_UNREADABLE * findings.sampled:
        return []
    causes = sorted(findings.failures.items(), key=lambda item: -item[1][0])[:3]
    text = "; ".join(f"{n} {code} (first: {first}: {message})" for code, (n, first, message) in causes)
    return [f"{count} of {findings.sampled} recordings cannot be read (at most {MAX_UNREADABLE:.0%} may be): {text}"]


def _flags(manifest: Manifest, findings: Findings, same: list[tuple[str, ...]]) -> tuple[Flag, ...]:
    """Return all flags: of the reading, of the recordings, of equal audio, of missing classes."""
    flags = list(manifest.flags)
    flags += [Flag(code, {"count": n, "first": first}) for code, (n, first) in sorted(findings.flags.items())]
    if same:
        keys = {clip.path: clip.key for clip in manifest.clips}
        flags.append(Flag("duplicate_audio", {"count": len(same), "first": " = ".join(keys[p] for p in same[0])}))
    flags += missing_classes(manifest, _sides(manifest, "split") or _sides(manifest, "fold"))
    return tuple(flags)


def _facts(manifest: Manifest, findings: Findings) -> dict[str, Any]:
    """Return the figures of a data set, ready for JSON."""
    balance = measure_balance(manifest)
    facts: dict[str, Any] = {
        "form": manifest.format,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "clips": len(manifest),
        "negatives": manifest.negatives,
        "groups": len(set(manifest.groups())),
        "data_hash": manifest.data_hash,
        "balance": {
            "ratio": rounded(balance.ratio) if math.isfinite(balance.ratio) else None,
            "evenness": rounded(balance.evenness),
        },
        "per_class": _per_class(manifest),
        "events": _events(manifest),
        "probed": findings.sampled,
        "durations": _durations(findings.durations),
        "sample_rates": {str(rate): n for rate, n in sorted(findings.rates.items())},
        "formats": dict(findings.formats.most_common()),
        "unreadable": {
            code: {"count": n, "first": first, "message": message}
            for code, (n, first, message) in sorted(findings.failures.items())
        },
    }
    if len(findings.rates) > 1:
        facts["sample_rates_by_folder"] = {
            folder: {str(rate): n for rate, n in sorted(rates.items())}
            for folder, rates in sorted(findings.rates_by_folder.items())
        }
    return facts


def _per_class(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return clips of each class: all, and by part and fold."""
    rows: dict[str, Counter[str]] = {label: Counter() for label in manifest.labels}
    for clip in manifest.clips:
        sides = ["clips"]
        sides += [clip.split] if clip.split is not None else []
        sides += [f"fold {clip.fold}"] if clip.fold is not None else []
        for label in (_NEGATIVE_ROW,) if clip.negative else clip.label:
            rows.setdefault(label, Counter()).update(sides)
    columns = ["clips", *_sides(manifest, "split"), *_sides(manifest, "fold")]
    return {label: {column: counts[column] for column in columns} for label, counts in rows.items()}


def _events(manifest: Manifest) -> dict[str, Any] | None:
    """Return how many events there are and how long they are, or None where no label says when."""
    if not manifest.strong:
        return None
    lengths: dict[str, list[float]] = {label: [] for label in manifest.labels}
    for clip in manifest.clips:
        for event in clip.events or ():
            lengths[event.label].append(event.offset - event.onset)
    return {
        "strong_clips": manifest.strong,
        "weak_clips": len(manifest) - manifest.strong,
        "count": sum(map(len, lengths.values())),
        "per_class": {
            label: {"count": len(values), "lengths": _durations(values)} for label, values in lengths.items()
        },
    }


def _durations(durations: list[float]) -> dict[str, float] | None:
    """Return the spread of durations in seconds, or None if none is known."""
    if not durations:
        return None
    values = np.asarray(durations)
    figures = {"total": values.sum(), "min": values.min(), "median": np.median(values), "max": values.max()}
    return {name: rounded(value) for name, value in figures.items()}
