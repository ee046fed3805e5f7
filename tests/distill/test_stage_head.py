# SPDX-License-Identifier: Apache-2.0
"""By which clips the penalty of a head on stages is chosen: other systems and speakers, else other groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from auricle.data.manifest import Clip, Manifest
from auricle.distill.stage_head import choosing_turns, fit_stage_head
from auricle.teachers.heads import PENALTIES, PENALTY


def manifest_of(clips: list[Clip], labels: tuple[str, ...]) -> Manifest:
    return Manifest(Path("x"), "asvspoof", "single", labels, tuple(clips))


def voices() -> Manifest:
    people = [Clip(f"h{i}", f"h{i}", ("bonafide",), group=f"p{i % 8}", extra={"system": "-"}) for i in range(48)]
    machines = [Clip(f"m{i}", f"m{i}", ("spoof",), group=f"v{i % 8}", extra={"system": f"S{i % 4}"}) for i in range(48)]
    return manifest_of([*people, *machines], ("bonafide", "spoof"))


def test_in_a_turn_neither_systems_nor_speakers_are_on_both_sides():
    manifest = voices()
    turns = choosing_turns(manifest)
    assert len(turns) == 4
    for fitted, held in turns:
        for names in (lambda c: c.group, lambda c: c.extra["system"] if c.extra["system"] != "-" else c.group):
            sides = [{names(manifest.clips[i]) for i in part} for part in (fitted, held)]
            assert not sides[0] & sides[1]
        assert {manifest.clips[i].label[0] for i in held} == {"bonafide", "spoof"}


def test_data_without_systems_is_split_by_groups_and_too_little_not_at_all():
    clips = [Clip(f"{i}", f"{i}", (("dog", "cat")[i % 2],), group=f"g{i // 2}") for i in range(24)]
    manifest = manifest_of(clips, ("cat", "dog"))
    for fitted, held in choosing_turns(manifest):
        assert not {clips[i].group for i in fitted} & {clips[i].group for i in held}
        assert len(fitted) + len(held) == 24
    assert choosing_turns(manifest.select([0, 1])) == []
    vectors, targets = np.array([[0.0], [1.0]], np.float32), np.eye(2)
    assert fit_stage_head(vectors, targets, manifest.select([0, 1]), "single")[1] == PENALTY


def test_changed_recordings_do_not_fit_the_head():
    rng, manifest = np.random.default_rng(0), voices()
    human = np.array([clip.label == ("bonafide",) for clip in manifest.clips])
    vectors = rng.standard_normal((96, 5)).astype(np.float32)
    targets = np.stack([human, ~human], 1).astype(float)
    alone, penalty = fit_stage_head(vectors, targets, manifest, "single")
    changed = [replace(clip, extra={**clip.extra, "variant": "yes"}) for clip in manifest.clips]
    both = replace(manifest, clips=(*manifest.clips, *changed))
    twice, same = fit_stage_head(np.tile(vectors, (2, 1)), np.concatenate([targets, 1 - targets]), both, "single")
    assert same == penalty
    assert np.array_equal(alone.weight, twice.weight)
    only = replace(manifest, clips=tuple(changed))
    assert np.array_equal(fit_stage_head(vectors, targets, only, "single")[0].weight, alone.weight)


def test_the_head_tells_voices_apart():
    rng, manifest = np.random.default_rng(0), voices()
    human = np.array([clip.label == ("bonafide",) for clip in manifest.clips])
    vectors = rng.standard_normal((96, 5)).astype(np.float32)
    vectors[:, 2] += 3 * human
    head, penalty = fit_stage_head(vectors, np.stack([human, ~human], 1).astype(float), manifest, "single")
    assert penalty in PENALTIES
    assert ((head(vectors)[:, 0] > 0.5) == human).mean() > 0.85
