# SPDX-License-Identifier: Apache-2.0
"""Soundscapes: sounds cut out of clips, laid over backgrounds, with the exact truth about when.

A scene is a function of (rules, part, number) and of the list of its sources, so nothing depends on what was made
before it or beside it. Levels are relative: the background has a level, each event stands so many dB above it, both as
mean power. Where a scene has no background recording, noise of some colour takes its place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from auricle.results import Event, FloatArray
from auricle.synth.reverb import DECAY_S, DIRECT_DB, put_into_room
from auricle.synth.signals import coloured_noise, rms
from auricle.timeline import samples_to_seconds, seconds_to_samples

#: Sets the random numbers of scenes apart from those of all other purposes that share a seed.
_PURPOSE = 20_261_127
#: How often a place is sought for an event before the scene does without it.
_TRIES = 20
#: Sounds of one class are further apart than this: nearer ones would be taken, and bridged, as one.
SAME_CLASS_GAP_S = 0.25
_FADE_S, _LOOP_FADE_S = 0.005, 0.05
_PEAK, _SMALLEST = 0.99, 1e-9


@dataclass(frozen=True)
class SceneRules:
    """How scenes are made.

    Attributes:
        scene_s: length in seconds.
        events: least and most events in a scene; one that finds no place is left out.
        overlap: most events that sound at the same time.
        longest_s: an event is cut to this length.
        snr_db: range of the level of an event over the background.
        backgrounds: classes whose clips are backgrounds, labelled over the whole scene.
        background_share: share of scenes that have one, where there are any; the others have noise.
        background_db: range of the background's level against full scale.
        room_share: share of scenes whose events stand in a room; labels are those of the dry sound.
        fade_s: range of the time in which an event rises and falls; its label holds all of it.
        sample_rate: in Hz.
        seed: of everything random.
    """

    scene_s: float = 10.0
    events: tuple[int, int] = (1, 6)
    overlap: int = 3
    longest_s: float = 4.0
    snr_db: tuple[float, float] = (0.0, 20.0)
    backgrounds: tuple[str, ...] = ()
    background_share: float = 0.5
    background_db: tuple[float, float] = (-50.0, -35.0)
    room_share: float = 0.0
    fade_s: tuple[float, float] = (_FADE_S, _FADE_S)
    sample_rate: int = 16_000
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the rules ready for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class SceneSource:
    """A clip that scenes are made of: its number, class, and where it sounds, in samples."""

    number: int
    label: str
    regions: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PlacedEvent:
    """A part of a source at a place of a scene; all times in samples."""

    source: SceneSource
    begin: int
    length: int
    onset: int
    snr_db: float
    fade_s: float = _FADE_S

    @property
    def end(self) -> int:
        """The first sample after it in the scene."""
        return self.onset + self.length


@dataclass(frozen=True)
class ScenePlan:
    """One scene; every field says exactly what will be done.

    Attributes:
        background: the recording behind it, or None for noise.
        background_start: where it begins, as a share in [0, 1) of its sounding part.
        noise: exponent of the fall of the noise over frequency, and its seed.
        background_db: level of either against full scale.
        room: decay time in seconds, direct over reverberant energy in dB, seed of the echoes; None is no room.
        events: in the order of their onsets.
    """

    background: SceneSource | None
    background_start: float
    noise: tuple[float, int]
    background_db: float
    room: tuple[float, float, int] | None
    events: tuple[PlacedEvent, ...]

    def truth(self, rules: SceneRules) -> tuple[Event, ...]:
        """Return what is audible and when, a labelled background over the whole scene first."""
        rate = rules.sample_rate
        behind = () if self.background is None else (Event(self.background.label, 0.0, rules.scene_s, 1.0),)
        return behind + tuple(
            Event(e.source.label, samples_to_seconds(e.onset, rate), samples_to_seconds(e.end, rate), 1.0)
            for e in self.events
        )

    def sources(self) -> list[int]:
        """Return the numbers of its recordings, each once."""
        behind = [] if self.background is None else [self.background.number]
        return list(dict.fromkeys([*behind, *(e.source.number for e in self.events)]))


def draw_scene(sources: Sequence[SceneSource], rules: SceneRules, part: str, number: int) -> ScenePlan:
    """Draw one scene of a part of the data.

    Raises:
        ValueError: no source can be an event.
    """
    rng = np.random.default_rng([rules.seed, _PURPOSE, zlib.crc32(part.encode()), number])
    by_label: dict[str, list[SceneSource]] = {}
    for source in sources:
        by_label.setdefault(source.label, []).append(source)
    behind = [label for label in rules.backgrounds if label in by_label]
    front = [label for label in sorted(by_label) if label not in rules.backgrounds]
    if not front:
        raise ValueError("every class is a background: nothing is left to be an event")
    has_background = rng.random() < rules.background_share and bool(behind)
    background = _pick(by_label, behind, rng) if has_background else None
    start, colour, noise_seed = float(rng.random()), float(rng.uniform(0, 2)), int(rng.integers(2**31))
    level_db = float(rng.uniform(*rules.background_db))
    in_room, decay, direct, echoes = rng.random(), rng.uniform(*DECAY_S), rng.uniform(*DIRECT_DB), rng.integers(2**31)
    room = (float(decay), float(direct), int(echoes)) if in_room < rules.room_share else None
    placed: list[PlacedEvent] = []
    for _ in range(int(rng.integers(rules.events[0], rules.events[1] + 1))):
        event = _place(_pick(by_label, front, rng), placed, rules, rng)
        if event is not None:
            placed.append(event)
    events = tuple(sorted(placed, key=lambda e: (e.onset, e.source.label)))
    return ScenePlan(background, start, (colour, noise_seed), level_db, room, events)


def _pick(
    by_label: Mapping[str, Sequence[SceneSource]], labels: Sequence[str], rng: np.random.Generator
) -> SceneSource:
    """Draw a class first, then a clip of it: rare classes occur as often as others."""
    clips = by_label[labels[int(rng.integers(len(labels)))]]
    return clips[int(rng.integers(len(clips)))]


def _place(
    source: SceneSource, placed: Sequence[PlacedEvent], rules: SceneRules, rng: np.random.Generator
) -> PlacedEvent | None:
    """Cut a sound out of a clip and find a place for it; None if there is none."""
    rate, total = rules.sample_rate, seconds_to_samples(rules.scene_s, rules.sample_rate)
    begin, end = source.regions[int(rng.integers(len(source.regions)))]
    length = min(end - begin, seconds_to_samples(rules.longest_s, rate), total)
    begin += int(rng.random() * (end - begin - length + 1))
    snr_db = float(rng.uniform(*rules.snr_db))
    shortest, longest = rules.fade_s
    fade_s = float(np.exp(rng.uniform(np.log(shortest), np.log(longest)))) if shortest < longest else shortest
    gap = seconds_to_samples(SAME_CLASS_GAP_S, rate)
    for onset in rng.integers(0, total - length + 1, _TRIES):
        event = PlacedEvent(source, begin, length, int(onset), snr_db, fade_s)
        same = [e for e in placed if e.source.label == source.label]
        if any(event.onset <= e.end + gap and e.onset <= event.end + gap for e in same):
            continue
        if most_at_once([*placed, event]) <= rules.overlap:
            return event
    return None


def most_at_once(events: Sequence[PlacedEvent]) -> int:
    """Return how many events sound at the same time, at most."""
    return max((sum(e.onset <= start.onset < e.end for e in events) for start in events), default=0)


def render_scene(plan: ScenePlan, rules: SceneRules, read: Callable[[int], FloatArray]) -> FloatArray:
    """Return the waveform of a scene, ``(time,)`` float32.

    Args:
        plan: what to do.
        rules: of the scene.
        read: returns a source by its number, ``(time,)`` at the rules' rate.
    """
    total = seconds_to_samples(rules.scene_s, rules.sample_rate)
    background = _render_background(plan, rules, read, total)
    level = 10 ** (plan.background_db / 20)
    background *= np.float32(level / max(rms(background), _SMALLEST))
    events = np.zeros(total, np.float32)
    for event in plan.events:
        sound = read(event.source.number)[event.begin : event.begin + event.length]
        gain = level * 10 ** (event.snr_db / 20) / max(rms(sound), _SMALLEST)
        fade = seconds_to_samples(event.fade_s, rules.sample_rate)
        events[event.onset : event.end] += faded(sound, fade) * np.float32(gain)
    if plan.room is not None and plan.events:
        events = put_into_room(events, rules.sample_rate, *plan.room)
    scene = background + events
    peak = float(np.abs(scene).max(initial=0.0))
    return np.asarray(scene * np.float32(min(1.0, _PEAK / peak) if peak else 1.0), np.float32)


def _render_background(plan: ScenePlan, rules: SceneRules, read: Callable[[int], FloatArray], total: int) -> FloatArray:
    if plan.background is None:
        exponent, seed = plan.noise
        return coloured_noise(np.random.default_rng(seed), total, exponent)
    regions = plan.background.regions
    sound = read(plan.background.number)[regions[0][0] : regions[-1][1]]
    looped = _loop(sound, total + len(sound), seconds_to_samples(_LOOP_FADE_S, rules.sample_rate))
    start = int(plan.background_start * len(sound))
    return looped[start : start + total].copy()


def _loop(sound: FloatArray, length: int, fade: int) -> FloatArray:
    """Repeat a sound, each time faded over from its end into its beginning."""
    fade = min(fade, len(sound) // 2)
    rise = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    period = sound[: len(sound) - fade].copy()
    period[:fade] = period[:fade] * rise + sound[len(sound) - fade :] * (1 - rise)
    return np.resize(period, length)


def faded(sound: FloatArray, fade: int) -> FloatArray:
    """Let a sound begin and end without a click."""
    fade = min(fade, len(sound) // 2)
    out = np.array(sound, np.float32)
    if fade:
        rise = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
        out[:fade] *= rise
        out[-fade:] *= rise[::-1]
    return out
