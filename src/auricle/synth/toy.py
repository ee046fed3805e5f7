# SPDX-License-Identifier: Apache-2.0
"""A small data set out of physics: six sounds and a negative class, made from a seed alone.

It lets the whole way be tried without a download, and tests have sounds whose truth is known. The
classes differ in what they are, not in level, length or noise floor, which are drawn from one law for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile

from auricle.output_folder import OutputFolder
from auricle.results import FloatArray
from auricle.synth.signals import (
    band_noise,
    decay,
    envelope,
    harmonics,
    phase_of,
    resonate,
    rms,
    time_axis,
)
from auricle.timeline import seconds_to_samples

Generator = np.random.Generator
Maker = Callable[[Generator, int, int], FloatArray]

#: The folder of clips that hold none of the classes.
NEGATIVE_FOLDER = "other"
_LEVEL_DB = (-30.0, -12.0)
_FLOOR_DB = (-60.0, -40.0)


def siren(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """Harmonics of a tone whose frequency swings up and down: a rotating siren (sine) or a two-tone horn (square)."""
    time = time_axis(samples, sample_rate)
    centre_hz, depth = generator.uniform(600, 1100), generator.uniform(0.15, 0.45)
    swing = np.sin(2 * np.pi * generator.uniform(0.3, 3.0) * time + generator.uniform(0, 2 * np.pi))
    if generator.random() < 0.3:
        swing = np.tanh(8 * swing)
    phase = phase_of(centre_hz * (1 + depth * swing), sample_rate)
    return harmonics(phase, 1 / np.arange(1, 6) ** generator.uniform(0.8, 1.6))


def clicks(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """Struck solids: at random times, a few resonances that ring for milliseconds and die away exponentially."""
    sound = np.zeros(samples, np.float32)
    count = max(1, generator.poisson(generator.uniform(2, 6) * samples / sample_rate))
    modes_hz = generator.uniform(900, 0.42 * sample_rate, 4)
    times_constant_s = generator.uniform(0.002, 0.015, 4)
    for start in generator.integers(0, max(1, samples - sample_rate // 50), count):
        length = min(samples - start, sample_rate // 8)
        strike = sum(
            decay(length, sample_rate, tau) * np.sin(2 * np.pi * mode * time_axis(length, sample_rate))
            for mode, tau in zip(modes_hz, times_constant_s, strict=True)
        )
        sound[start : start + length] += (generator.uniform(0.4, 1.0) * strike).astype(np.float32)
    return sound


def engine(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """A combustion engine: one pulse a firing, uneven by a few percent, through the resonances of exhaust and body."""
    time = time_axis(samples, sample_rate)
    firing_hz = generator.uniform(25, 70)
    drift = 1 + generator.uniform(0.02, 0.15) * np.sin(2 * np.pi * generator.uniform(0.1, 0.6) * time)
    cycles = np.cumsum(firing_hz * drift / sample_rate)
    firings = np.flatnonzero(np.diff(np.floor(cycles)) > 0)
    jitter = generator.normal(0, 0.02 * sample_rate / firing_hz, len(firings)).astype(np.int64)
    pulses = np.zeros(samples, np.float32)
    np.add.at(pulses, np.clip(firings + jitter, 0, samples - 1), generator.uniform(0.7, 1.0, len(firings)))
    modes_hz = np.array([generator.uniform(80, 160), generator.uniform(250, 500), generator.uniform(700, 1500)])
    return resonate(pulses, sample_rate, modes_hz, bandwidth_hz=60.0)


def rain(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """Drops at Poisson times, each a short burst of bright noise, over the hiss of all those too far to tell apart."""
    count = max(1, generator.poisson(generator.uniform(80, 400) * samples / sample_rate))
    drops = np.zeros(samples, np.float32)
    np.add.at(
        drops,
        generator.integers(0, samples, count),
        generator.exponential(1.0, count) * generator.choice([-1, 1], count),
    )
    low_hz = generator.uniform(800, 2000)
    near = resonate(drops, sample_rate, generator.uniform(low_hz, 0.45 * sample_rate, 6), bandwidth_hz=900.0)
    hiss = band_noise(generator, samples, sample_rate, low_hz, 0.48 * sample_rate)
    return near / _level(near) + generator.uniform(0.3, 1.0) * hiss / _level(hiss)


def chirp(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """A bird: phrases of short whistles, each sweeping up or down within the band of small birds."""
    sound = np.zeros(samples, np.float32)
    start_hz, end_hz = generator.uniform(2000, 0.4 * sample_rate, 2)
    note_s, pause_s = generator.uniform(0.04, 0.15), generator.uniform(0.03, 0.2)
    length, step = int(note_s * sample_rate), int((note_s + pause_s) * sample_rate)
    first = int(generator.integers(0, max(1, min(step, samples - length))))
    for start in range(first, max(first + 1, samples - length), step):
        if generator.random() < 0.15 and start > first:
            continue  # a bird takes breath
        size = min(length, samples - start)
        sweep_hz = np.linspace(start_hz, end_hz, size) * generator.uniform(0.95, 1.05)
        note = np.sin(phase_of(np.clip(sweep_hz, 0, 0.45 * sample_rate), sample_rate)) * np.hanning(size)
        sound[start : start + size] += note.astype(np.float32)
    return sound


def buzz(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """Mains hum of a loose transformer: even harmonics of 50 or 60 Hz, modulated as the core rattles."""
    time = time_axis(samples, sample_rate)
    mains_hz = generator.choice([50.0, 60.0]) * generator.uniform(0.998, 1.002)
    phase = phase_of(np.full(samples, 2 * mains_hz), sample_rate)
    weights = generator.uniform(0.3, 1.0, 24) / np.arange(1, 25) ** generator.uniform(0.3, 0.8)
    modulation = 1 + generator.uniform(0.2, 0.7) * np.sin(2 * np.pi * generator.uniform(3, 12) * time)
    return (harmonics(phase, weights) * modulation).astype(np.float32)


def other(generator: Generator, samples: int, sample_rate: int) -> FloatArray:
    """What is none of the classes: noise of some colour, a steady tone, or a murmur of slow noise."""
    kind = int(generator.integers(3))
    if kind == 0:
        low_hz = generator.uniform(20, 600)
        return band_noise(generator, samples, sample_rate, low_hz, low_hz + generator.uniform(200, 2500))
    if kind == 1:
        phase = phase_of(np.full(samples, generator.uniform(150, 1800)), sample_rate)
        return harmonics(phase, np.array([1.0, generator.uniform(0, 0.2)]))
    slow = envelope(generator, samples, sample_rate, rate_hz=generator.uniform(0.5, 4))
    return band_noise(generator, samples, sample_rate, 60, generator.uniform(300, 1200)) * slow


#: The classes of the synthetic data set and what makes their sounds.
MAKERS: Mapping[str, Maker] = {
    "buzz": buzz,
    "chirp": chirp,
    "clicks": clicks,
    "engine": engine,
    "rain": rain,
    "siren": siren,
}


def _level(sound: FloatArray) -> float:
    return max(rms(sound), 1e-9)  # silence stays silence


def make_clip(label: str, *, clip_s: float, sample_rate: int, generator: Generator) -> FloatArray:
    """Return one clip of a class (or of ``other``) at a random level over a faint noise floor, shape ``(time,)``."""
    maker = other if label == NEGATIVE_FOLDER else MAKERS[label]
    samples = seconds_to_samples(clip_s, sample_rate)
    sound = maker(generator, samples, sample_rate)
    floor = band_noise(generator, samples, sample_rate, 30, 0.5 * sample_rate)
    level, below = 10 ** (generator.uniform(*_LEVEL_DB) / 20), 10 ** (generator.uniform(*_FLOOR_DB) / 20)
    clip = level * sound / _level(sound) + below * floor / _level(floor)
    peak = float(np.abs(clip).max())
    return (clip * min(1.0, 0.95 / peak)).astype(np.float32)


def synthesise(
    out_dir: str | Path, *, clips_per_class: int = 24, clip_s: float = 2.0, sample_rate: int = 16_000, seed: int = 0
) -> Path:
    """Write the synthetic data set as class folders of 16-bit WAV files and return its folder.

    Each clip is a function of the seed, its class and its number, so that more clips leave the first ones as they were.

    Args:
        out_dir: an empty or new folder.
        clips_per_class: also of ``other``.
        clip_s: length of each clip in seconds.
        sample_rate: in Hz; at least 8 kHz, where the whistles lie.
        seed: of everything random.

    Raises:
        RunError: the folder is not empty.
        ValueError: a length, number or rate that makes no clip.
    """
    if clips_per_class < 1 or clip_s < 0.1 or sample_rate < 8_000:
        raise ValueError("need clips_per_class >= 1, clip_s >= 0.1 and sample_rate >= 8000")
    out = Path(out_dir)
    OutputFolder(out).require_new()
    for number, label in enumerate([*MAKERS, NEGATIVE_FOLDER]):
        folder = out / label
        folder.mkdir(parents=True)
        for i in range(clips_per_class):
            generator = np.random.default_rng([seed, number, i])
            clip = make_clip(label, clip_s=clip_s, sample_rate=sample_rate, generator=generator)
            soundfile.write(folder / f"{label}-{i:03d}.wav", clip, sample_rate, subtype="PCM_16")
    return out
