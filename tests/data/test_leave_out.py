# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.data.leave_out import leave_out, split_systems
from auricle.data.manifest import NO_SYSTEM, Clip, Manifest


def make(*rows):
    """A manifest of ``(speaker, system)`` rows, system ``-`` for bona fide."""
    clips = [
        Clip(
            f"{i}.wav",
            f"/{i}.wav",
            ("bonafide" if system == "-" else "spoof",),
            group=speaker,
            extra={"system": system},
        )
        for i, (speaker, system) in enumerate(rows)
    ]
    return Manifest(Path("set"), "asvspoof", "single", ("bonafide", "spoof"), tuple(clips))


def everything(manifest):
    return np.arange(len(manifest))


def described(manifest, indices):
    return sorted((manifest.clips[i].group, manifest.clips[i].extra["system"]) for i in indices)


def test_who_is_heard_and_who_is_scored_by_hand():
    """Two people, a synthesiser with one voice, and a vocoder that speaks as both people."""
    manifest = make(("ann", "-"), ("bob", "-"), ("v", "TTS"), ("ann", "VOC"), ("bob", "VOC"))
    turns = leave_out(manifest, everything(manifest), [["TTS"], ["VOC"]], 0)
    held = ["ann" if ("ann", "-") in described(manifest, turn.test) else "bob" for turn in turns]
    assert sorted(held) == ["ann", "bob"]
    first, second = held
    assert described(manifest, turns[0].test) == sorted([(first, "-"), ("v", "TTS")])
    assert described(manifest, turns[0].train) == sorted([(second, "-"), (second, "VOC")])
    assert described(manifest, turns[1].test) == sorted([(second, "-"), (second, "VOC")])
    assert described(manifest, turns[1].train) == sorted([(first, "-"), ("v", "TTS")])
    assert [turn.name for turn in turns] == ["1", "2"]


corpora = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["-", "-", "S1", "S2", "S3"])), min_size=6)


@given(corpora, st.integers(2, 4), st.integers(0, 99))
def test_no_turn_scores_a_system_or_a_speaker_that_it_heard(rows, k, seed):
    manifest = make(*rows)
    folds = split_systems(manifest, everything(manifest), k, seed)
    turns = leave_out(manifest, everything(manifest), folds, seed)
    scored = Counter(i for turn in turns for i in turn.test)
    assert max(scored.values(), default=1) == 1
    for turn in turns:
        heard, new = ([manifest.clips[i] for i in part] for part in (turn.train, turn.test))
        assert not {c.group for c in heard} & {c.group for c in new}
        if any(folds):
            assert not {c.extra["system"] for c in heard} & {c.extra["system"] for c in new} - {NO_SYSTEM}
    for i, clip in enumerate(manifest.clips):
        if clip.label == ("bonafide",):
            assert scored[i] == 1


def test_systems_are_dealt_evenly_and_anew_for_every_seed():
    manifest = make(*[(f"v{i}", f"S{i % 6}") for i in range(60)])
    folds = split_systems(manifest, everything(manifest), 3, 0)
    assert [len(names) for names in folds] == [2, 2, 2]
    assert sorted(name for names in folds for name in names) == [f"S{i}" for i in range(6)]
    assert folds == split_systems(manifest, everything(manifest), 3, 0)
    assert any(folds != split_systems(manifest, everything(manifest), 3, seed) for seed in range(1, 5))


@pytest.mark.parametrize(("systems", "folds"), [("-", [[], [], []]), ("S1", [[], [], []]), ("S1 S2", 2)])
def test_with_few_systems_there_are_few_folds_and_with_one_only_speakers_are_left_out(systems, folds):
    names = systems.split()
    manifest = make(*[(f"p{i}", "-") for i in range(6)], *[(f"v{i}", names[i % len(names)]) for i in range(6)])
    split = split_systems(manifest, everything(manifest), 3, 0)
    assert (split if isinstance(folds, list) else len(split)) == folds
    turns = leave_out(manifest, everything(manifest), split, 0)
    assert all(len(turn.test) and len(turn.train) for turn in turns)
    if isinstance(folds, list):
        assert sum(len(turn.test) for turn in turns) == len(manifest)


def test_only_the_clips_asked_for_are_dealt():
    manifest = make(("ann", "-"), ("bob", "-"), ("v", "S1"), ("w", "S2"), ("eve", "-"), ("x", "S3"))
    part = np.array([0, 1, 2, 3])
    folds = split_systems(manifest, part, 2, 0)
    assert sorted(map(tuple, folds)) == [("S1",), ("S2",)]
    used = {int(i) for turn in leave_out(manifest, part, folds, 0) for i in (*turn.train, *turn.test)}
    assert used == {0, 1, 2, 3}
