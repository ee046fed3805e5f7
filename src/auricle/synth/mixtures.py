# SPDX-License-Identifier: Apache-2.0
"""Mixtures: new sound made of recordings, for a teacher to label and a student to learn from.

A mixture is a function of (seed, number) and of the list of its sources, so nothing but its number is stored: the
teacher gets it at its rate, the student at its own. Each takes one recording, or two at a random level ratio, played
at a random speed and rolled by a random time. Who may be mixed with whom is decided by ``parts``: mixtures
within a fold can be used by every cross-validation that trains on that fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.audio.resample import change_speed
from auricle.data.manifest import Clip
from auricle.errors import InputError
from auricle.results import FloatArray
from auricle.synth.signals import rms
from auricle.timeline import seconds_to_samples

IntArray = npt.NDArray[np.int64]

#: Sets the random numbers of mixtures apart from those of all other purposes that share a seed.
_PURPOSE = 20_230_719
_SILENCE = 1e-6


@dataclass(frozen=True)
class MixRules:
    """How mixtures are made; stored with their labels, which hold for these rules only.

    Attributes:
        count: number of mixtures.
        seed: of everything random.
        clip_s: length in seconds.
        speed: range of playback speed, drawn log-uniformly.
        snr_db: range by which the second recording is quieter than the first.
        peak_db: range of the peak level below full scale.
        alone: share of mixtures of one recording only.
        pool_share: of the second recordings, the share that comes from the pool, where there is one.
        pool_alone: share of mixtures whose first recording comes from the pool too.
    """

    count: int
    seed: int = 0
    clip_s: float = 5.0
    speed: tuple[float, float] = (0.85, 1.15)
    snr_db: tuple[float, float] = (0.0, 15.0)
    peak_db: tuple[float, float] = (0.0, 20.0)
    alone: float = 0.2
    pool_share: float = 0.5
    pool_alone: float = 0.25

    def to_dict(self) -> dict[str, Any]:
        """Return what ``index.json`` stores."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MixRules:
        """Return the rules that ``to_dict`` wrote."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


@dataclass(frozen=True)
class Part:
    """One recording in a mixture: which, from where, how fast, rolled by which share, at which level in dB."""

    source: int
    start: float
    speed: float
    roll: float
    level_db: float


@dataclass(frozen=True)
class Mixture:
    """One mixture; every field says exactly what will be done.

    Attributes:
        number: its place among all.
        parts: the recordings in it, the loudest first.
        peak_db: how far its peak lies below full scale.
    """

    number: int
    parts: tuple[Part, ...]
    peak_db: float

    @property
    def key(self) -> str:
        """A name for messages."""
        return f"mixture {self.number}"

    @property
    def sources(self) -> frozenset[int]:
        """The numbers of its recordings."""
        return frozenset(part.source for part in self.parts)


def _draw_first(rng: np.random.Generator, labelled: int, pool: int, *, of_pool: bool) -> int:
    share = rng.random()
    return labelled + int(share * pool) if of_pool else int(share * labelled)


def _draw_part(rng: np.random.Generator, rules: MixRules, source: int, level_db: float) -> Part:
    start, roll = rng.random(), rng.random()
    speed = float(np.exp(rng.uniform(np.log(rules.speed[0]), np.log(rules.speed[1]))))
    return Part(source, start, speed, roll, level_db)


def render_mixture(mixture: Mixture, read: Callable[[int], FloatArray], length: int) -> FloatArray:
    """Return the waveform of a mixture, ``(length,)`` float32.

    Args:
        mixture: what to do.
        read: returns the waveform of a source, ``(time,)``, at the rate that is wanted.
        length: in samples at that rate.
    """
    total = np.zeros(length, np.float32)
    for part in mixture.parts:
        sound = _play(part, read(part.source), length)
        level = rms(sound)
        if level > _SILENCE:
            total += sound * np.float32(10 ** (part.level_db / 20) / level)
    peak = float(np.abs(total).max())
    return total * np.float32(10 ** (-mixture.peak_db / 20) / peak) if peak > 0 else total


def _play(part: Part, samples: FloatArray, length: int) -> FloatArray:
    """Return a recording at its speed, cut or repeated to ``length``, and rolled."""
    needed = int(length * part.speed) + 2
    start = int(part.start * max(0, len(samples) - needed + 1))
    crop = np.asarray(samples[start : start + needed], np.float32)
    sound = change_speed(crop, part.speed, length) if len(crop) > 1 else crop
    return np.roll(np.resize(sound, length), int(part.roll * length))


@dataclass(frozen=True)
class MixtureSources:
    """The recordings that mixtures are made of, in the order that mixtures count them.

    Attributes:
        rules: how they are mixed.
        clips: the recordings; None for one that is absent here.
        parts: the part of each labelled one; the rest is the pool.
    """

    rules: MixRules
    clips: tuple[Clip | None, ...]
    parts: tuple[str, ...]

    @cached_property
    def mates(self) -> dict[str, IntArray]:
        """The labelled recordings of each part."""
        names = np.array(self.parts, dtype=object)
        return {name: np.flatnonzero(names == name) for name in dict.fromkeys(self.parts)}

    def draw(self, number: int) -> Mixture:
        """Draw one mixture, from 0 to ``rules.count - 1``.

        Raises:
            ValueError: there is nothing to mix.
        """
        rules, labelled = self.rules, len(self.parts)
        pool = len(self.clips) - labelled
        if not self.clips:
            raise ValueError("there is nothing to mix: no labelled and no unlabelled recording")
        rng = np.random.default_rng([rules.seed, _PURPOSE, number])
        of_pool = rng.random() < rules.pool_alone
        first = _draw_first(rng, labelled, pool, of_pool=pool > 0 and (of_pool or not labelled))
        mates = self.mates[self.parts[first]] if first < labelled else np.arange(labelled, labelled + pool)
        alone, with_pool, mate = rng.random() < rules.alone, rng.random() < rules.pool_share, rng.random()
        second = labelled + int(mate * pool) if pool and with_pool else int(mates[int(mate * len(mates))])
        loud = _draw_part(rng, rules, first, 0.0)
        quiet = _draw_part(rng, rules, second, -float(rng.uniform(*rules.snr_db)))
        peak_db = float(rng.uniform(*rules.peak_db))
        return Mixture(number, (loud,) if alone else (loud, quiet), peak_db)

    def make(self, mixture: Mixture, read: Callable[[Clip], FloatArray], sample_rate: int) -> FloatArray:
        """Return the waveform of a mixture, ``(time,)``.

        Args:
            mixture: what to make.
            read: returns a recording at ``sample_rate``.
            sample_rate: in Hz.

        Raises:
            InputError: one of its recordings is absent or cannot be read.
        """

        def source(number: int) -> FloatArray:
            clip = self.clips[number]
            if clip is None:
                raise InputError("not_found", f"{mixture.key} needs recording {number}, which is not in the data")
            return np.asarray(read(clip), np.float32)

        return render_mixture(mixture, source, seconds_to_samples(self.rules.clip_s, sample_rate))
