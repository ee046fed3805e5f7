# SPDX-License-Identifier: Apache-2.0
"""Scenes: levels and edges by hand, and the laws of drawing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from auricle.results import Event
from auricle.synth.scenes import (
    SAME_CLASS_GAP_S,
    PlacedEvent,
    ScenePlan,
    SceneRules,
    SceneSource,
    draw_scene,
    most_at_once,
    render_scene,
)

RATE = 8_000
RULES = SceneRules(scene_s=2.0, sample_rate=RATE, events=(1, 8), longest_s=0.5)
SOURCES = [SceneSource(i, label, ((800, 4_000), (6_000, 6_400))) for i, label in enumerate(("a", "a", "b", "c", "sea"))]


def tone(number: int) -> np.ndarray:
    wave = np.sin(2 * np.pi * (300 + 200 * number) * np.arange(RATE) / RATE)
    return (0.2 * wave).astype(np.float32)


def plan_of(*events: PlacedEvent, **changes) -> ScenePlan:
    return replace(ScenePlan(None, 0.0, (0.0, 1), -40.0, None, events), **changes)


def rms_db(sound: np.ndarray) -> float:
    return 20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def test_levels_and_edges_are_those_of_the_plan():
    event = PlacedEvent(SOURCES[0], 800, 2_000, 4_000, 20.0)
    plan = plan_of(event)
    scene = render_scene(plan, RULES, tone)
    silent = render_scene(plan_of(), RULES, tone)
    assert rms_db(silent) == pytest.approx(-40, abs=0.01)
    alone = scene - silent
    assert np.flatnonzero(np.abs(alone) > 1e-7)[[0, -1]] == pytest.approx([4_000, 5_999], abs=2)
    assert rms_db(alone[4_000:6_000]) == pytest.approx(-20, abs=0.2)  # 20 dB over the background; fades cost a little
    assert plan.truth(RULES) == (Event("a", 0.5, 0.75, 1.0),)


def test_a_background_recording_is_labelled_over_the_whole_scene():
    plan = plan_of(background=SOURCES[4])
    assert plan.truth(RULES) == (Event("sea", 0.0, 2.0, 1.0),)
    scene = render_scene(plan, RULES, tone)
    assert rms_db(scene) == pytest.approx(-40, abs=0.01)
    # It is looped, faded over: no part of it is silent, and no join clicks.
    assert min(rms_db(scene[i : i + 400]) for i in range(0, 16_000, 400)) > -46
    assert np.abs(np.diff(scene)).max() < 2 * np.pi * 1_100 / RATE * np.abs(scene).max()


def test_loud_scenes_are_turned_down_as_a_whole():
    plan = plan_of(PlacedEvent(SOURCES[0], 800, 2_000, 4_000, 80.0))
    scene = render_scene(plan, RULES, tone)
    assert np.abs(scene).max() == pytest.approx(0.99, abs=1e-6)
    assert rms_db(scene[:4_000]) == pytest.approx(rms_db(scene[4_000:6_000]) - 80, abs=0.3)


def test_a_room_moves_no_onset():
    event = PlacedEvent(SOURCES[0], 800, 2_000, 4_000, 25.0)
    dry, wet = (render_scene(plan_of(event, room=room), RULES, tone) for room in (None, (0.3, 5.0, 3)))
    silent = render_scene(plan_of(), RULES, tone)
    assert np.abs(wet - silent)[:3_990].max() < 1e-6
    assert rms_db((wet - silent)[6_100:6_400]) > rms_db((dry - silent)[6_100:6_400] + 1e-9) + 20


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_the_laws_of_drawing(overlap):
    rules = replace(RULES, overlap=overlap, backgrounds=("sea",), room_share=0.5)
    plans = [draw_scene(SOURCES, rules, "train", number) for number in range(200)]
    for plan in plans:
        assert most_at_once(plan.events) <= overlap
        assert len(plan.events) <= 8
        for event in plan.events:
            assert 0 <= event.onset < event.end <= 2 * RATE
            assert any(low <= event.begin and event.begin + event.length <= high for low, high in event.source.regions)
            assert event.length <= 0.5 * RATE
            assert 0 <= event.snr_db <= 20
            assert event.source.label != "sea"
        for label in "abc":
            same = sorted((e.onset, e.end) for e in plan.events if e.source.label == label)
            gaps = [after - before for (_, before), (after, _) in pairwise(same)]
            assert all(gap > SAME_CLASS_GAP_S * RATE for gap in gaps)
    assert max(most_at_once(plan.events) for plan in plans) == overlap
    assert 70 < sum(plan.background is not None for plan in plans) < 130
    assert 70 < sum(plan.room is not None for plan in plans) < 130


def test_a_scene_is_a_function_of_seed_part_and_number():
    one = draw_scene(SOURCES, RULES, "train", 7)
    assert draw_scene(SOURCES, RULES, "train", 7) == one
    others = [draw_scene(SOURCES, replace(RULES, seed=1), "train", 7), draw_scene(SOURCES, RULES, "dev", 7)]
    assert all(other != one for other in [*others, draw_scene(SOURCES, RULES, "train", 8)])


def test_most_at_once_by_hand():
    spans = [(0, 10), (5, 15), (9, 12), (10, 20), (15, 16)]
    events = [PlacedEvent(SOURCES[0], 0, end - onset, onset, 0.0) for onset, end in spans]
    assert most_at_once(events) == 3  # at 9: the first three; at 10 the first is over
    assert most_at_once([]) == 0


def test_backgrounds_alone_make_no_scene():
    with pytest.raises(ValueError, match="every class is a background"):
        draw_scene(SOURCES[4:], replace(RULES, backgrounds=("sea",)), "train", 0)


def test_events_rise_and_fall_as_slowly_as_they_are_told():
    """Half way through a rise of a fifth of a second an even sound has half its height."""
    plan = plan_of(PlacedEvent(SOURCES[0], 800, 8_000, 4_000, 60.0, fade_s=0.2), background_db=-80.0)
    scene = render_scene(plan, RULES, lambda number: np.ones(16_000, np.float32))
    rise = round(0.2 * RATE)
    assert scene[4_000 + rise // 2] / scene[8_000] == pytest.approx(0.5, abs=0.01)
    drawn = [draw_scene(SOURCES, replace(RULES, fade_s=(0.01, 0.3)), "train", n) for n in range(20)]
    fades = [event.fade_s for plan in drawn for event in plan.events]
    assert 0.01 <= min(fades) < 0.05 < 0.15 < max(fades) <= 0.3
