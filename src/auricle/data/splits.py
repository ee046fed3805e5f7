# SPDX-License-Identifier: Apache-2.0
"""Which clips train, which select, which test; and proof that no group is on two sides.

Parts given by the data are respected. Otherwise dev is drawn by group, stratified and seeded, from all that
is not test. There is a test part only where the data gives one or a fold is held out: a test set
that nobody asked for would only be taken from training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from auricle.data.labels import natural_key
from auricle.data.manifest import NO_SYSTEM, Manifest
from auricle.data.problems import Problems
from auricle.data.stratify import DoubleArray, IntArray, group_counts, split_groups
from auricle.errors import DataError, UsageError
from auricle.registry import nearest, shorten
from auricle.results import Flag

PARTS = ("train", "dev", "test")
DEV_FRACTION = 0.15
DEFAULT_FOLDS = 5
#: How the note begins that stands where no dev part can be made.
NO_DEV = "no dev part"
#: A class with fewer clips is a first try.
FEW_CLIPS = 10


@dataclass(frozen=True, eq=False)
class Split:
    """Clips by part, as indices into the manifest, in its order.

    Attributes:
        train: clips to learn from.
        dev: clips to select on; may be empty in cross-validation.
        test: clips to score once; empty where there are none.
        flags: classes that a part lacks.
        notes: how the parts were made, in plain words.
    """

    train: IntArray
    dev: IntArray
    test: IntArray
    flags: tuple[Flag, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Fold:
    """One turn of a cross-validation: train on all other folds, score this one, select nothing."""

    name: str
    train: IntArray
    test: IntArray
    flags: tuple[Flag, ...] = ()


def strata(manifest: Manifest) -> DoubleArray:
    """Return what to split evenly, shape ``(clip, label + 2)``: the classes, the negatives, and what has neither."""
    hard = manifest.hard_targets().astype(np.float64)
    negative = np.array([clip.negative for clip in manifest.clips], np.float64)
    neither = (hard.sum(axis=1) + negative == 0).astype(np.float64)
    return np.column_stack([hard, negative, neither])


def check_trainable(manifest: Manifest) -> None:
    """Raise ``DataError`` where nothing can be learned: too few clips, or one class and nothing against it."""
    problems = Problems()
    if len(manifest) < 2:
        problems.add("few", f"{len(manifest)} clip; training needs at least 2, and some for each class")
    if len(manifest.labels) == 0:
        problems.add("few", "all clips are negatives; training needs at least one class")
    elif len(manifest.labels) == 1 and not any(c.negative or not c.label for c in manifest.clips):
        text = f"the only class is {manifest.labels[0]!r}; add a second class, or clips labelled 'other' without it"
        problems.add("few", text)
    problems.stop_if_any(f"{manifest.root} cannot be trained on")


def _require_parts(manifest: Manifest, parts: dict[str, IntArray]) -> None:
    empty = [name for name, indices in parts.items() if len(indices) == 0]
    if empty:
        groups = len(set(manifest.groups()))
        text = f"no clip is left for {' and '.join(empty)}: {len(manifest)} clips in {groups} groups; add recordings"
        raise DataError(f"{manifest.root} cannot be split", [text])


def _no_dev(manifest: Manifest) -> str:
    """Return what is said where too little is there to hold any of it back."""
    groups = len(set(manifest.groups()))
    return (
        f"{NO_DEV}: {len(manifest)} clips in {groups} groups are too few to hold some back, so nothing selects the "
        "weights and thresholds stay at 0.5; add recordings"
    )


def few_clips(counts: Mapping[str, int]) -> str:
    """Return one line about the classes with few clips; empty where all have enough."""
    few = ", ".join(f"{label} ({count})" for label, count in counts.items() if count < FEW_CLIPS)
    return f"few clips: {few}; record 30 or more of each, from different places and days" if few else ""


def check_leaks(manifest: Manifest, parts: dict[str, IntArray]) -> None:
    """Raise ``DataError`` naming the groups that stand in more than one of ``parts``."""
    groups = manifest.groups()
    seen: dict[str, set[str]] = {}
    for name, indices in parts.items():
        for i in indices:
            seen.setdefault(groups[i], set()).add(name)
    torn = {group: names for group, names in seen.items() if len(names) > 1}
    if torn:
        where = shorten((f"{group} in {' and '.join(sorted(names))}" for group, names in sorted(torn.items())), 5)
        text = (
            f"{len(torn)} groups stand on two sides, which makes every score too good: {where}; move each to one side"
        )
        raise DataError(f"{manifest.root} cannot be split", [text])


def missing_classes(manifest: Manifest, parts: dict[str, IntArray]) -> tuple[Flag, ...]:
    """Return a flag for each part that lacks classes of the data."""
    hard = manifest.hard_targets()
    flags = []
    for name, indices in parts.items():
        absent = [manifest.labels[i] for i in np.flatnonzero(hard[indices].sum(axis=0) == 0)]
        if absent and len(indices):
            flags.append(Flag("class_missing", {"part": name, "count": len(absent), "first": absent[0]}))
    return tuple(flags)


def hold_out(manifest: Manifest, indices: IntArray, fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """Split the clips ``indices`` into a rest and about ``fraction`` of them, by group, stratified and seeded."""
    all_groups = manifest.groups()
    numbers, counts = group_counts([all_groups[i] for i in indices], strata(manifest)[indices])
    generator = np.random.default_rng(seed)
    parts = split_groups(counts, (1 - fraction, fraction), generator, represent=True)[numbers]
    return indices[parts == 0], indices[parts == 1]


def hold_out_systems(
    manifest: Manifest, indices: IntArray, systems: Sequence[str], fraction: float, seed: int
) -> tuple[IntArray, IntArray]:
    """Split clips so that dev alone has some spoofing systems, and shares no speaker with the rest.

    About ``fraction`` of the other clips goes to dev too, by group. Of the held systems, clips whose group stays in
    the rest (a recording of a speaker there, made again by a vocoder) are in neither part.
    """
    check_systems(manifest, systems)
    held = np.array([manifest.clips[i].extra.get("system") in systems for i in indices])
    rest, others = hold_out(manifest, indices[~held], fraction, seed)
    groups = manifest.groups()
    known = {groups[i] for i in rest}
    others_held = np.array([i for i in indices[held] if groups[i] not in known], np.int64)
    return rest, np.sort(np.concatenate([others, others_held]))


def check_systems(manifest: Manifest, systems: Sequence[str]) -> None:
    """Raise ``UsageError`` for a spoofing system that the data does not have."""
    known = sorted({clip.extra.get("system", NO_SYSTEM) for clip in manifest.clips} - {NO_SYSTEM})
    for system in systems:
        if system not in known:
            listed = f"known: {', '.join(known)}" if known else "the data names no systems"
            raise UsageError(f"unknown spoofing system {system!r}{nearest(system, known)}; {listed}")


def without_systems(manifest: Manifest, systems: Sequence[str]) -> Manifest:
    """Return the manifest without some spoofing systems; raises ``UsageError`` for one that it does not have."""
    check_systems(manifest, systems)
    return manifest.select([i for i, clip in enumerate(manifest.clips) if clip.extra.get("system") not in systems])


def _where(values: Sequence[str | None], wanted: str) -> IntArray:
    return np.array([i for i, value in enumerate(values) if value == wanted], np.int64)


def _given_parts(manifest: Manifest) -> dict[str, IntArray] | None:
    """Return the parts that the data itself states, or None if it states none."""
    values = [clip.split for clip in manifest.clips]
    return None if not any(values) else {part: _where(values, part) for part in PARTS}


def _fold_parts(manifest: Manifest, test_fold: str) -> dict[str, IntArray]:
    """Return one fold as test and all others as train; raises ``UsageError`` for a fold there is not."""
    if not manifest.folds:
        raise UsageError(f"test fold {test_fold!r} was asked for, but the data has no column 'fold'")
    if test_fold not in manifest.folds:
        known = ", ".join(manifest.folds)
        raise UsageError(f"unknown fold {test_fold!r}{nearest(test_fold, manifest.folds)}; known: {known}")
    folds = [clip.fold for clip in manifest.clips]
    test = _where(folds, test_fold)
    return {"train": np.setdiff1d(np.arange(len(folds)), test), "dev": test[:0], "test": test}


def make_split(
    manifest: Manifest,
    *,
    test_fold: str | int | None = None,
    dev: str = "given",
    dev_fraction: float = DEV_FRACTION,
    dev_systems: Sequence[str] = (),
    seed: int = 0,
) -> Split:
    """Return which clips train, select and test.

    Args:
        manifest: the data.
        test_fold: this fold is test and the other folds are the rest; goes before given parts.
        dev: ``given`` takes the data's dev, else a share of the rest; ``inside`` always takes such a share, and leaves
            a given dev alone; ``none`` makes no dev.
        dev_fraction: share of the rest that becomes dev, by group.
        dev_systems: with ``inside``, spoofing systems that only dev has, see ``hold_out_systems``.
        seed: of the drawing; equal seeds give equal parts.

    Raises:
        UsageError: a fold that the data has not.
        DataError: nothing to learn, an empty part, or a group on two sides. Where too few groups are there for a dev
            part, there is none, and a note says so.
    """
    check_trainable(manifest)
    if not 0 < dev_fraction < 1:
        raise UsageError(f"dev fraction {dev_fraction:g} is not between 0 and 1")
    notes = []
    given = _given_parts(manifest)
    if test_fold is not None:
        parts = _fold_parts(manifest, str(test_fold))
        notes.append(f"fold {test_fold} is test" + ("; the column 'split' is not used" if given else ""))
    elif given is not None:
        parts = given
        notes.append(f"parts as given: {', '.join(name for name in PARTS if len(parts[name]))}")
    else:
        everything = np.arange(len(manifest), dtype=np.int64)
        parts = {"train": everything, "dev": everything[:0], "test": everything[:0]}
    if len(parts["train"]) == 0:
        _require_parts(manifest, {"train": parts["train"]})
    check_leaks(manifest, parts)  # drawing dev by group cannot make another one
    if dev != "given" and len(parts["dev"]):
        notes.append(f"the given dev ({len(parts['dev'])} clips) is left alone")
        parts["dev"] = parts["dev"][:0]
    if dev != "none" and len(parts["dev"]) == 0:
        held = hold_out_systems(manifest, parts["train"], dev_systems, dev_fraction, seed)
        left_out = len(parts["train"]) - sum(map(len, held))
        if dev_systems or all(map(len, held)):
            parts["train"], parts["dev"] = held
            notes.append(f"{dev_fraction:.0%} of the rest, by group, is dev (seed {seed})")
        else:
            notes.append(_no_dev(manifest))
        if dev_systems:
            notes.append(f"only dev has {', '.join(dev_systems)}; {left_out} clips of them are of speakers in train")
    _require_parts(manifest, {name: parts[name] for name in ("train", *(("dev",) if dev_systems else ()))})
    return Split(parts["train"], parts["dev"], parts["test"], missing_classes(manifest, parts), tuple(notes))


def without_test(manifest: Manifest, test_fold: str | None = None) -> Manifest:
    """Return the data without its test part, for whoever compares many runs: on this, ``make_split`` makes no test.

    Args:
        manifest: the data.
        test_fold: leave this fold out; goes before given parts.

    Raises:
        UsageError: a fold that the data has not.
        DataError: a group on both sides.
    """
    parts = _given_parts(manifest) if test_fold is None else _fold_parts(manifest, test_fold)
    if parts is None:
        return manifest
    check_leaks(manifest, parts)
    rest = manifest.select(np.setdiff1d(np.arange(len(manifest)), parts["test"]))
    if test_fold is None:
        return rest
    return replace(rest, clips=tuple(replace(clip, split=None) for clip in rest.clips))


def crossval_folds(manifest: Manifest, *, k: int = DEFAULT_FOLDS, seed: int = 0) -> tuple[Fold, ...]:
    """Return the turns of a cross-validation: the data's own folds, else ``k`` split by group, stratified, seeded.

    Raises:
        UsageError: ``k`` below 2.
        DataError: fewer groups than folds, an empty fold, or a group in two folds.
    """
    check_trainable(manifest)
    names = [clip.fold for clip in manifest.clips]
    if not manifest.folds:
        names = _split_folds(manifest, k, seed)
    order = sorted({name for name in names if name is not None}, key=natural_key)
    if len(order) < 2:
        raise DataError(f"{manifest.root} cannot be cross-validated", [f"it has one fold only, {order[0]!r}"])
    tests = {name: _where(names, name) for name in order}
    check_leaks(manifest, {f"fold {name}": indices for name, indices in tests.items()})
    everything = np.arange(len(manifest), dtype=np.int64)
    folds = []
    for name, test in tests.items():
        train = np.setdiff1d(everything, test)
        folds.append(Fold(name, train, test, missing_classes(manifest, {"train": train, "test": test})))
    return tuple(folds)


def _split_folds(manifest: Manifest, k: int, seed: int) -> list[str | None]:
    """Return a fold from 1 to ``k`` for each clip."""
    if k < 2:
        raise UsageError(f"{k} folds were asked for; cross-validation needs at least 2")
    numbers, counts = group_counts(manifest.groups(), strata(manifest))
    if len(counts) < k:
        text = f"{len(counts)} groups cannot fill {k} folds; ask for fewer folds or add recordings"
        raise DataError(f"{manifest.root} cannot be cross-validated", [text])
    parts = split_groups(counts, [1 / k] * k, np.random.default_rng(seed))
    return [str(part + 1) for part in parts[numbers]]
