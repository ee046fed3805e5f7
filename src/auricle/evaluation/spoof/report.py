# SPDX-License-Identifier: Apache-2.0
"""The report on a detector of synthetic voices: over all recordings, for systems it knows and for others, for each.

The figures of a system are those of its recordings against all bona fide ones. *Seen* systems shaped the model
(``provenance.systems``); the others are what a figure for tomorrow's synthesisers has to come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from auricle.data.manifest import NO_SYSTEM, Manifest
from auricle.errors import DataError, UsageError
from auricle.evaluation.spoof.intervals import Trials, figures, paired_difference
from auricle.evaluation.spoof.metrics import Array, BoolArray, min_cllr
from auricle.evaluation.spoof.score_files import read_scores, read_verifier_scores
from auricle.evaluation.spoof.tandem import min_tdcf, verifier_errors
from auricle.results import SPOOF_LABELS, Interval, Report, rounded

#: The system of a spoofed recording whose protocol names none.
UNNAMED = "unnamed"


@dataclass(frozen=True)
class Extras:
    """What a report may have beside its figures.

    Attributes:
        seen: spoofing systems that shaped the detector; None if that is not known.
        flags: how many recordings carry each flag.
        against: score file of another detector, for differences.
        verifier: score file of a speaker verifier, for the t-DCF.
    """

    seen: Sequence[str] | None = None
    flags: Mapping[str, int] | None = None
    against: Path | None = None
    verifier: Path | None = None


def trials_of(manifest: Manifest) -> Trials:
    """Return the recordings of a manifest with the labels bonafide and spoof.

    Utterances are named by their files, without folder and ending where that is unambiguous.

    Raises:
        DataError: other labels, or names that a score file could not hold.
    """
    if tuple(sorted(manifest.labels)) != SPOOF_LABELS or any(len(clip.label) != 1 for clip in manifest.clips):
        wanted = "each recording needs one of the labels bonafide and spoof"
        raise DataError(f"{manifest.root} has the labels {', '.join(manifest.labels)}", [wanted])
    stems = [PurePosixPath(clip.key).stem for clip in manifest.clips]
    names = stems if len(set(stems)) == len(stems) else [_full_name(clip.segment) for clip in manifest.clips]
    if any(len(name.split()) != 1 for name in names):
        odd = next(name for name in names if len(name.split()) != 1)
        raise DataError(f"{manifest.root} cannot be scored", [f"{odd!r} holds white space: score files have none"])
    bonafide = np.array([clip.label == SPOOF_LABELS[:1] for clip in manifest.clips])
    systems = (clip.extra.get("system", UNNAMED) for clip in manifest.clips)
    return Trials(
        tuple(names),
        tuple(manifest.groups()),
        tuple(NO_SYSTEM if real else system for real, system in zip(bonafide, systems, strict=True)),
        bonafide,
    )


def _full_name(segment: tuple[str, float, float | None]) -> str:
    key, onset, offset = segment
    return key if onset == 0 and offset is None else f"{key}@{onset:g}"


def spoof_report(trials: Trials, scores: Array, manifest: Manifest, extras: Extras | None = None) -> Report:
    """Return all figures with 95 % intervals over speakers.

    Args:
        trials: of the manifest.
        scores: log-likelihood ratios, shape ``(trial,)`` or ``(seed, trial)``.
        manifest: the data.
        extras: what else to report.

    Raises:
        UsageError: no bona fide or no spoofed recording.
        DataError: score files that do not fit.
    """
    extras = Extras() if extras is None else extras
    kinds = {SPOOF_LABELS[0]: trials.bonafide, SPOOF_LABELS[1]: ~trials.bonafide}
    for kind, mask in kinds.items():
        if not mask.any():
            raise UsageError(f"there is no {kind} recording to score: error rates need both kinds")
    table = np.atleast_2d(scores)
    details: dict[str, Any] = {"min_cllr": _mean_min_cllr(trials, table)}
    if extras.seen is not None:
        groups = {"seen": [s for s in trials.attacks if s in extras.seen]}
        groups["unseen"] = [s for s in trials.attacks if s not in extras.seen]
        details |= {name: {"systems": g, **_part(trials, table, g)} for name, g in groups.items() if g}
    details["per_system"] = {
        system: {"seen": None if extras.seen is None else system in extras.seen, **_part(trials, table, [system])}
        for system in trials.attacks
    }
    if extras.verifier is not None:
        details["min_tdcf"] = _tandem(trials, table, extras.verifier)
    if extras.against is not None:
        details["difference"] = _differences(trials, table, extras)
    details["flags"] = dict(extras.flags) if extras.flags is not None else {}
    details["data_flags"] = [flag.to_dict() for flag in manifest.flags]
    return Report(
        figures(trials, table),
        {kind: {"n": int(mask.sum()), "speakers": _speakers(trials, mask)} for kind, mask in kinds.items()},
        len(trials),
        manifest.data_hash,
        details,
    )


def _speakers(trials: Trials, mask: BoolArray) -> int:
    return len({speaker for speaker, chosen in zip(trials.speakers, mask, strict=True) if chosen})


def _part(trials: Trials, table: Array, systems: Sequence[str]) -> dict[str, Any]:
    """Return the figures of some systems against all bona fide recordings."""
    mask = trials.against(systems)
    spoofed = mask & ~trials.bonafide
    return {
        "n": int(spoofed.sum()),
        "speakers": _speakers(trials, spoofed),
        "metrics": _plain(figures(trials.select(mask), table[:, mask])),
    }


def _plain(found: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: interval.to_dict() for name, interval in found.items()}


def _mean_min_cllr(trials: Trials, table: Array) -> float:
    return rounded(float(np.mean([min_cllr(row[trials.bonafide], row[~trials.bonafide]) for row in table])))


def _tandem(trials: Trials, table: Array, path: Path) -> float:
    """Return the t-DCF of 2019 in front of the verifier whose scores lie at ``path``."""
    verifier = read_verifier_scores(path)
    try:
        errors = verifier_errors(verifier["target"], verifier["nontarget"], verifier["spoof"])
        values = [min_tdcf(row[trials.bonafide], row[~trials.bonafide], errors) for row in table]
    except ValueError as error:
        raise DataError(f"{path} gives no t-DCF", [str(error)]) from error
    return rounded(float(np.mean(values)))


def _differences(trials: Trials, table: Array, extras: Extras) -> dict[str, Any]:
    """Return figures minus those of the other detector, over all recordings and over the unseen systems."""
    if extras.against is None:
        return {}
    other = np.atleast_2d(read_scores(extras.against, trials))
    found = {"all": _plain(paired_difference(trials, table, other))}
    unseen = [] if extras.seen is None else [s for s in trials.attacks if s not in extras.seen]
    if unseen:
        mask = trials.against(unseen)
        found["unseen"] = _plain(paired_difference(trials.select(mask), table[:, mask], other[:, mask]))
    return found
