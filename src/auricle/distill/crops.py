# SPDX-License-Identifier: Apache-2.0
"""Crops of sound that never was: one to three recordings, changed, placed in time and mixed.

A crop is a function of (rules, recordings, number). It comes with each of its sources alone and with when each
is audible, so that what a teacher says of a source alone becomes a target for single frames of the mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.audio.resample import change_speed
from auricle.results import FloatArray
from auricle.synth.reverb import DECAY_S, DIRECT_DB, put_into_room
from auricle.timeline import seconds_to_samples

Rng = np.random.Generator
#: Most sources of a crop.
MOST_SOURCES = 3
#: Sets the random numbers of crops apart from those of all other purposes that share a seed.
_PURPOSE = 20_261_130
_FADE_S = 0.02
#: Nothing is cut to less.
_LEAST_S = 0.15
_SILENCE = 1e-6
#: Points of a random frequency response, evenly spaced in the logarithm of frequency.
_POINTS = 8
#: Transforms have a multiple of this length, which is fast.
_EVEN = 4_096
#: Within so many dB of its own peak a source counts as there, and ``_SLOPE_DB`` below that as absent.
_BELOW_PEAK_DB, _BELOW_OTHERS_DB, _SLOPE_DB = 25.0, 15.0, 10.0
#: Steps of the envelope that activity is measured by.
_ENVELOPE_S = 0.01


@dataclass(frozen=True)
class CropRules:
    """How crops are made.

    Attributes:
        seed: of everything random.
        lengths_s: lengths in seconds, which shards take in turns: a network that heard nothing but long crops does not
            follow its teacher on a clip of half a second.
        shares: of crops with one, two, three sources.
        speed: range of playback speed, drawn log-uniformly.
        reverse_share: of sources that are played backwards.
        equaliser_db: bound of a random frequency response; 0 is off.
        room_share: of sources that stand in a room.
        level_db: range by which a source is quieter than the first one.
        peak_db: range of the peak level below full scale.
        synthetic_share: of sources that are computed: noise, tones, sweeps, clicks.
        cut_share: of sources that are cut to a part of the crop.
    """

    seed: int = 0
    lengths_s: tuple[float, ...] = (5.12, 5.12, 5.12, 2.56, 5.12, 5.12, 1.28, 0.64)
    shares: tuple[float, float, float] = (0.25, 0.4, 0.35)
    speed: tuple[float, float] = (0.6, 1.7)
    reverse_share: float = 0.1
    equaliser_db: float = 10.0
    room_share: float = 0.3
    level_db: tuple[float, float] = (0.0, 15.0)
    peak_db: tuple[float, float] = (0.0, 36.0)
    synthetic_share: float = 0.04
    cut_share: float = 0.3

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored beside the crops."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Crop:
    """A mixture and what it is made of.

    Attributes:
        mixture: ``(time,)``.
        sources: each source as it is in the mixture, ``(source, time)``.
        activity: when each is audible, ``(source, step)`` in [0, 1], every ``_ENVELOPE_S``.
    """

    mixture: FloatArray
    sources: FloatArray
    activity: FloatArray


def make_crop(
    rules: CropRules,
    number: int,
    lengths: npt.NDArray[np.int64],
    read: Callable[[int, int, int], FloatArray],
    sample_rate: int,
    length_s: float | None = None,
) -> Crop:
    """Return crop ``number``.

    Args:
        rules: how it is made.
        number: from 0 on.
        lengths: samples of each recording.
        read: returns samples of a recording: ``read(recording, first, count)``.
        sample_rate: in Hz, of the recordings and the crop.
        length_s: in seconds, by default the first of the rules' lengths.
    """
    rng = np.random.default_rng([rules.seed, _PURPOSE, number])
    size = seconds_to_samples(rules.lengths_s[0] if length_s is None else length_s, sample_rate)
    count = 1 + int(np.searchsorted(np.cumsum(rules.shares), rng.random() * sum(rules.shares), "right"))
    sources = np.zeros((count, size), np.float32)
    for row in range(count):
        sound = _draw_source(rules, rng, lengths, read, sample_rate, size)
        level = _loudness(sound, sample_rate)
        quieter = 0.0 if row == 0 else rng.uniform(*rules.level_db)
        if level > _SILENCE:
            sources[row] = sound * np.float32(10 ** (-quieter / 20) / level)
    peak = float(np.abs(sources.sum(0)).max())
    if peak > 0:
        sources *= np.float32(10 ** (-rng.uniform(*rules.peak_db) / 20) / peak)
    return Crop(sources.sum(0), sources, activity(sources, sample_rate))


def activity(sources: FloatArray, sample_rate: int) -> FloatArray:
    """Return when each of ``(source, time)`` is audible, ``(source, step)`` in [0, 1], every hundredth of a second.

    A source is there while it is not far below its own peak nor far below all others together.
    """
    step = seconds_to_samples(_ENVELOPE_S, sample_rate)
    steps = sources.shape[1] // step
    energy = np.square(sources[:, : steps * step], dtype=np.float64).reshape(len(sources), steps, step).mean(2)
    tiny = 1e-12
    own = 10 * np.log10((energy + tiny) / (energy.max(1, keepdims=True) + tiny))
    others = 10 * np.log10((energy + tiny) / (energy.sum(0) - energy + tiny))
    there = np.minimum(
        (own + _BELOW_PEAK_DB + _SLOPE_DB) / _SLOPE_DB, (others + _BELOW_OTHERS_DB + _SLOPE_DB) / _SLOPE_DB
    )
    there[energy.max(1) <= tiny] = 0
    return np.asarray(np.clip(there, 0, 1), np.float32)


def _loudness(sound: FloatArray, sample_rate: int) -> float:
    """Return the root mean square of the loudest quarter of a second."""
    step = max(1, sample_rate // 4)
    energy = np.add.reduceat(np.square(sound, dtype=np.float64), np.arange(0, len(sound), step))
    return float(np.sqrt(energy.max() / step))


def _draw_source(
    rules: CropRules,
    rng: Rng,
    lengths: npt.NDArray[np.int64],
    read: Callable[[int, int, int], FloatArray],
    sample_rate: int,
    size: int,
) -> FloatArray:
    """Return one source of the length of a crop."""
    synthetic, cut = rng.random() < rules.synthetic_share, rng.random() < rules.cut_share
    if synthetic:
        sound = _synthesise(rng, sample_rate, size)
    else:
        number = int(rng.integers(len(lengths)))
        speed = float(np.exp(rng.uniform(*np.log(rules.speed))))
        needed = int(size * speed) + 2
        first = int(rng.random() * max(0, int(lengths[number]) - needed + 1))
        sound = change_speed(read(number, first, needed), speed, size)
        sound = sound[::-1] if rng.random() < rules.reverse_share else sound
    if rules.equaliser_db:
        sound = _equalise(sound, rng.uniform(-1, 1, _POINTS) * rules.equaliser_db)
    room, decay, direct, seed = rng.random() < rules.room_share, *rng.random(2), int(rng.integers(2**31))
    if room:
        dry = np.pad(sound, (0, min(size - len(sound), sample_rate // 2)))
        decay_s, direct_db = DECAY_S[0] + decay * np.ptp(DECAY_S), DIRECT_DB[0] + direct * np.ptp(DIRECT_DB)
        sound = put_into_room(dry, sample_rate, float(decay_s), float(direct_db), seed)
    return _place(sound, rng, sample_rate, size, cut=cut)


def _place(sound: FloatArray, rng: Rng, sample_rate: int, size: int, *, cut: bool) -> FloatArray:
    """Return the sound somewhere in silence; one that fills the crop is rolled, or cut to a part of it."""
    length = len(sound)
    begin, duration, repeat = rng.random(), rng.uniform(0.04, 0.8), rng.random() < 0.3
    least = seconds_to_samples(_LEAST_S, sample_rate)
    if cut and length > least:
        length = max(least, int(length * duration))
        sound = sound[:length] if rng.random() < 0.5 else sound[len(sound) - length :]
        fade = np.linspace(0, 1, seconds_to_samples(_FADE_S, sample_rate), dtype=np.float32)
        sound = sound.copy()
        sound[: len(fade)] *= fade
        sound[length - len(fade) :] *= fade[::-1]
    elif length < size and repeat and length > 0:
        return np.roll(np.resize(sound, size), int(begin * size))
    if length == size:
        return np.roll(sound, int(begin * size))
    placed = np.zeros(size, np.float32)
    first = int(begin * (size - length))
    placed[first : first + length] = sound
    return placed


def _equalise(sound: FloatArray, points_db: npt.NDArray[np.float64]) -> FloatArray:
    """Colour a sound by a smooth frequency response through points that are even in octaves."""
    if len(sound) == 0:
        return sound
    size = -(-len(sound) // _EVEN) * _EVEN
    octave = np.log2(np.arange(1, size // 2 + 2) / (size // 2 + 1))  # 0 is the highest frequency
    response = np.interp(octave, np.linspace(-len(points_db) + 1, 0, len(points_db)), points_db)
    spectrum = np.fft.rfft(sound, size) * (10 ** (response / 20)).astype(np.float32)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(sound)], np.float32)


def _synthesise(rng: Rng, sample_rate: int, size: int) -> FloatArray:
    """Return noise, a tone, a sweep or clicks: what no class is, or few are."""
    kind, time = int(rng.integers(5)), np.arange(size) / sample_rate
    low, high = np.exp(rng.uniform(np.log(60), np.log(sample_rate * 0.45), 2))
    if kind == 0:
        spectrum = np.fft.rfft(rng.standard_normal(size))
        spectrum /= np.maximum(np.arange(len(spectrum)), 30.0) ** rng.uniform(0, 1)
        return np.asarray(np.fft.irfft(spectrum, size), np.float32)
    if kind == 1:
        harmonics = np.arange(1, 1 + min(int(rng.integers(1, 9)), int(sample_rate / 2 / low)))
        return np.asarray(np.sin(2 * np.pi * low * harmonics[:, None] * time).sum(0), np.float32)
    if kind == 2:
        return np.asarray(np.sin(2 * np.pi * (low + (high - low) * time / time[-1] / 2) * time), np.float32)
    if kind == 3:
        clicks = np.zeros(size, np.float32)
        clicks[rng.integers(size, size=int(rng.integers(1, 40)))] = 1
        return clicks
    return (1e-4 * rng.standard_normal(size)).astype(np.float32)
