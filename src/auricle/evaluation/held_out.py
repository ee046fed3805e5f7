# SPDX-License-Identifier: Apache-2.0
"""Which clips a figure may be about: those that the model was not trained on, where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from auricle.data.manifest import Manifest
from auricle.data.readable import OnFailure, keep_readable
from auricle.data.trained_clips import DEV, TEST, TRAIN, parts_of
from auricle.errors import InputError, UsageError
from auricle.evaluation.evaluate import choose_clips
from auricle.results import Failure

#: As ``--split``: all clips, whatever the model was trained on.
ALL = "all"


@dataclass(frozen=True)
class Chosen:
    """Clips to score, and what the model knows of them.

    Attributes:
        manifest: the clips.
        part: ``test`` (held out), ``new`` (unknown to the model), ``dev`` (selected it), ``train``, ``mixed``, or
            ``unknown`` where the model folder does not say what it was trained on.
        trained_on: how many of the clips the model was trained on.
        left_out: how many clips of the data are not scored.
        unreadable: clips that are not scored because they cannot be read, and why.
    """

    manifest: Manifest
    part: str
    trained_on: int = 0
    left_out: int = 0
    unreadable: Mapping[str, Failure] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """One line for people; empty where there is nothing to say."""
        n = len(self.manifest)
        if self.part == "unknown":
            return ""
        if self.trained_on:
            return (
                f"WARNING: the model was trained on {self.trained_on} of these {n} clips: the figures are too good and "
                "say nothing about new recordings; give recordings that it was not trained on"
            )
        rest = f"; {self.left_out} others of the data are left out (--split all scores everything)"
        what = {
            TEST: f"scored on the {n} clips that training held out as test",
            DEV: f"scored on the {n} dev clips, which selected the weights: a little too good",
            "new": f"none of these {n} clips was trained on",
            "mixed": f"scored on {n} clips that training held out or never had",
        }[self.part]
        return what + (rest if self.left_out else "")

    def details(self) -> dict[str, object]:
        """Return what a report says of its clips, for JSON."""
        known = {} if self.part == "unknown" else {"part": self.part, "trained_on": self.trained_on}
        return {**known, **({"unreadable": len(self.unreadable)} if self.unreadable else {})}


def choose_held_out(
    manifest: Manifest, known: Mapping[str, str] | None, *, split: str | None = None, fold: str | None = None
) -> Chosen:
    """Return the clips that a figure should be about.

    A split or fold that was asked for is taken as it is. Else held-out and new clips are scored where there are any,
    else the dev part, else all of them with a warning.

    Args:
        manifest: the data.
        known: the part of each recording when the model was trained, from ``data.trained_clips``; None if unknown.
        split: a part of the data, or ``all``.
        fold: a fold of the data.

    Raises:
        UsageError: no clip is left.
    """
    asked = split is not None or fold is not None
    in_data = any(clip.split == split for clip in manifest.clips)
    chosen = choose_clips(manifest, split=None if split == ALL and not in_data else split, fold=fold)
    if known is None:
        return Chosen(chosen, "unknown")
    parts = parts_of(known, chosen.clips)
    if not asked:
        wanted: tuple[str | None, ...]
        for wanted in ((TEST, None), (DEV,)):
            kept = [i for i, part in enumerate(parts) if part in wanted]
            if kept:
                left_out = len(parts) - len(kept)
                return Chosen(chosen.select(kept), _name([parts[i] for i in kept]), 0, left_out)
    return Chosen(chosen, _name(parts), sum(part == TRAIN for part in parts))


def choose_readable(
    manifest: Manifest,
    known: Mapping[str, str] | None,
    *,
    split: str | None = None,
    fold: str | None = None,
    on_failure: OnFailure | None = None,
) -> Chosen:
    """Choose clips as ``choose_held_out`` does, of those that can be decoded.

    A recording that cannot be read is new to every model: alone, it must not keep a figure from the dev part.

    Args:
        manifest: the data.
        known: as for ``choose_held_out``.
        split: a part of the data, or ``all``.
        fold: a fold of the data.
        on_failure: is called for clips that cannot be read; None leaves them to whoever scores.

    Raises:
        UsageError: no clip is left.
        InputError: none of the clips can be read; this is the first one's reason.
    """
    chosen = choose_held_out(manifest, known, split=split, fold=fold)
    found: dict[str, Failure] = {}

    def note(key: str, failure: Failure) -> None:
        found.setdefault(key, failure)
        if on_failure is not None:
            on_failure(key, failure)

    while on_failure is not None:
        try:
            kept = {clip.segment for clip in keep_readable(chosen.manifest, note).clips}
        except InputError:
            kept = set()
        looked_at = {clip.segment for clip in chosen.manifest.clips}
        rest = [i for i, c in enumerate(manifest.clips) if c.segment in kept or c.segment not in looked_at]
        if not kept and (not rest or split is not None or fold is not None):
            first = next(iter(found.values()))
            raise InputError(first.code, first.message)
        manifest = manifest.select(rest)
        chosen = replace(choose_held_out(manifest, known, split=split, fold=fold), unreadable=found)
        if kept:
            break  # else none of these is left: the next best ones
    return chosen


def _name(parts: list[str | None]) -> str:
    names = {"new" if part is None else part for part in parts}
    return names.pop() if len(names) == 1 else "mixed"


def choose_dev(manifest: Manifest, known: Mapping[str, str] | None) -> Manifest | None:
    """Return the clips of the data that were dev in training, for tuning; None if there are none."""
    if known is None:
        return None
    kept = [i for i, part in enumerate(parts_of(known, manifest.clips)) if part == DEV]
    return manifest.select(kept) if kept else None


def refuse_trained(manifest: Manifest, known: Mapping[str, str] | None, what: str) -> None:
    """Raise ``UsageError`` if the model was trained on some of the clips: nothing may be fitted on those again."""
    count = 0 if known is None else sum(part == TRAIN for part in parts_of(known, manifest.clips))
    if count:
        raise UsageError(
            f"{what}: the model was trained on {count} of the {len(manifest)} clips of the part dev, so thresholds "
            "fitted there would be too low or too high for new recordings; mark other recordings as dev"
        )
