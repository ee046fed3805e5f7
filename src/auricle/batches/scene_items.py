# SPDX-License-Identifier: Apache-2.0
"""Scenes of the training clips, made anew in every epoch: labels of clips become labels that say when.

A clip that says only what is in it holds sounds whose edges can be found; laid over something else, their times are
known. A scene is a function of (seed, epoch, number). Classes that go on for whole clips are backgrounds too, and clips
of no class, and noises made here, are audible and not labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from auricle.data.manifest import Clip
from auricle.errors import InputError
from auricle.recipe.schema import Recipe
from auricle.results import Event, FloatArray
from auricle.synth.activity import RegionRule, active_regions
from auricle.synth.scenes import PlacedEvent, ScenePlan, SceneRules, SceneSource, draw_scene, render_scene
from auricle.synth.toy import NEGATIVE_FOLDER, make_clip

#: What sources are called that have no class: behind a scene, and in it.
BEHIND, BESIDE = "\0behind", "\0beside"
#: Classes of which so much sounds, in the middle of their clips, go on for whole scenes.
STEADY = 0.95
#: Share of scenes in which steady classes are backgrounds; in the others they come and go.
STEADY_SHARE = 0.5
#: Share of the scenes of either kind that have a recording behind them; the others have noise.
RECORDED_SHARE = {True: 0.8, False: 0.3}
BACKGROUND_DB = (-60.0, -30.0)
#: Most events that sound at once, and what hides another one: to be so much louder.
OVERLAP, HIDING_DB = 2, 6.0
#: So many clips of a class, and of none, give enough; so many noises are made, of so many seconds.
MOST_CLIPS, NOISES, NOISE_S = 400, 12, 2.0


@dataclass(frozen=True)
class SceneItem:
    """A place among the items of a run: in every epoch another scene."""

    number: int

    @property
    def key(self) -> str:
        """A name for messages."""
        return f"scene {self.number}"


@dataclass(frozen=True, eq=False)
class SceneMaker:
    """Makes scenes of clips.

    Attributes:
        clips: by the numbers of the sources.
        noises: sounds of no class, whose numbers follow those of the clips.
        sources: where each of them sounds.
        rules: of the scenes.
        steady: classes that go on for whole clips.
    """

    clips: tuple[Clip, ...]
    noises: tuple[FloatArray, ...]
    sources: tuple[SceneSource, ...]
    rules: SceneRules
    steady: tuple[str, ...]

    def plan(self, epoch: int, number: int) -> ScenePlan:
        """Draw a scene."""
        rng = np.random.default_rng([self.rules.seed, epoch, number])
        lasting = bool(self.steady) and rng.random() < STEADY_SHARE
        behind = (*self.steady, BEHIND) if lasting else (BEHIND,)
        rules = replace(self.rules, backgrounds=behind, background_share=RECORDED_SHARE[lasting])
        plan = draw_scene(self.sources, rules, f"epoch {epoch}", number)
        return replace(plan, events=tuple(event for event in plan.events if not _is_hidden(event, plan.events)))

    def render(self, plan: ScenePlan, read: Callable[[Clip], FloatArray]) -> FloatArray:
        """Return the waveform of a scene, ``(time,)``."""

        def source(number: int) -> FloatArray:
            count = len(self.clips)
            return self.noises[number - count] if number >= count else read(self.clips[number])

        return render_scene(plan, self.rules, source)

    def events(self, plan: ScenePlan) -> tuple[Event, ...]:
        """Return which classes are audible and when."""
        return tuple(event for event in plan.truth(self.rules) if event.label not in (BEHIND, BESIDE))


def _is_hidden(event: PlacedEvent, events: Sequence[PlacedEvent]) -> bool:
    """Whether a much louder event sounds at the same time: nobody hears it, so it is neither played nor labelled."""
    return any(
        other.snr_db >= event.snr_db + HIDING_DB and other.onset < event.end and event.onset < other.end
        for other in events
    )


def make_scene_maker(
    clips: Sequence[Clip],
    read: Callable[[Clip], FloatArray],
    recipe: Recipe,
    *,
    scene_s: float,
    rule: RegionRule | None = None,
) -> SceneMaker | None:
    """Return what makes scenes of clips with one class or none; None where there is no class.

    Args:
        clips: of one part of the data.
        read: returns a clip, ``(time,)`` at the recipe's rate.
        recipe: rate, seed and levels.
        scene_s: length of a scene in seconds.
        rule: what counts as sounding.
    """
    rate, options = recipe.frontend.sample_rate, recipe.scenes
    chosen = tuple(_few_of_each(clips))
    noises = tuple(_noise(number, rate) for number in range(NOISES))
    sources: list[SceneSource] = []
    shares: dict[str, list[float]] = {}
    for number, samples in enumerate([*(_readable(clip, read) for clip in chosen), *noises]):
        regions = tuple(active_regions(samples, rate, rule))
        if not regions:
            continue
        if number >= len(chosen) or chosen[number].negative:
            sources += [SceneSource(number, label, regions) for label in (BEHIND, BESIDE)]
        else:
            (label,) = chosen[number].label
            sources.append(SceneSource(number, label, regions))
            shares.setdefault(label, []).append(sum(end - begin for begin, end in regions) / len(samples))
    if not shares:
        return None
    steady = sorted(label for label, found in shares.items() if float(np.median(found)) >= STEADY)
    rules = SceneRules(
        scene_s=scene_s,
        events=(0, max(1, round(options.events_a_second * scene_s))),
        overlap=OVERLAP,
        longest_s=scene_s,
        snr_db=options.snr_db,
        background_db=BACKGROUND_DB,
        fade_s=options.fade_s,
        sample_rate=rate,
        seed=recipe.seed,
    )
    return SceneMaker(chosen, noises, tuple(sources), rules, tuple(steady) if len(steady) < len(shares) else ())


def _few_of_each(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Yield clips that people gave one class or none, up to so many of each."""
    counts: dict[tuple[str, ...], int] = {}
    for clip in clips:
        usable = clip.kind == "hard" and (clip.negative or len(clip.label) == 1)
        if usable and counts.setdefault(clip.label, 0) < MOST_CLIPS:
            counts[clip.label] += 1
            yield clip


def _readable(clip: Clip, read: Callable[[Clip], FloatArray]) -> FloatArray:
    """Return a clip, or nothing: whoever reads the clip itself will say why it cannot be."""
    try:
        return read(clip)
    except (InputError, OSError):
        return np.zeros(0, np.float32)


def _noise(number: int, rate: int) -> FloatArray:
    """Return a noise of no class."""
    generator = np.random.default_rng([20_261_130, number])
    return make_clip(NEGATIVE_FOLDER, clip_s=NOISE_S, sample_rate=rate, generator=generator)
