# SPDX-License-Identifier: Apache-2.0
"""Scenes from clips: sounds at random, non-overlapping times over noise or a recording, with the truth about when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auricle.results import Event, FloatArray
from auricle.synth.scenes import faded
from auricle.synth.signals import rms
from auricle.timeline import samples_to_seconds, seconds_to_samples


def _place(lengths: Sequence[int], total: int, gap: int, generator: np.random.Generator) -> list[int]:
    """Return where each piece begins: free space is cut at random, so that no two pieces are nearer than ``gap``."""
    free = total - sum(lengths) - gap * (len(lengths) - 1)
    if free < 0:
        raise ValueError(f"the clips need {sum(lengths)} samples and gaps of {gap}, the scene has {total}")
    cuts = np.sort(generator.integers(0, free + 1, len(lengths)))
    before = np.concatenate([[0], np.cumsum(np.asarray(lengths[:-1], np.int64) + gap)])
    return [int(start) for start in cuts + before]


def assemble(
    clips: Sequence[tuple[str, FloatArray]],
    duration_s: float,
    *,
    sample_rate: int = 16_000,
    snr_db: float = 20.0,
    background_db: float = -50.0,
    gap_s: float = 0.3,
    fade_s: float = 0.0,
    background: FloatArray | None = None,
    seed: int = 0,
) -> tuple[FloatArray, tuple[Event, ...]]:
    """Lay clips into a scene over white noise.

    Args:
        clips: label and samples of each, shape ``(time,)`` at ``sample_rate``; they may come in any number, also none.
        duration_s: length of the scene in seconds; it must hold all clips.
        sample_rate: in Hz.
        snr_db: each clip is scaled so that its mean power stands this far above the noise.
            If the scene would peak above 0.99 then, all of it is turned down, noise too.
        background_db: level of the noise against full scale.
        gap_s: least silence between two clips in seconds.
        fade_s: time in which each clip rises and falls; its event holds all of it.
        background: in place of the noise, a recording at ``sample_rate``, repeated; it is brought to the noise's level.
        seed: of the order, the places and the noise.

    Returns:
        The scene, shape ``(time,)``, and the events in the order of their onsets, with score 1.

    Raises:
        ValueError: the clips do not fit.
    """
    generator = np.random.default_rng(seed)
    total = seconds_to_samples(duration_s, sample_rate)
    noise_rms = 10 ** (background_db / 20)
    scene = generator.normal(0, noise_rms, total).astype(np.float32)
    if background is not None and rms(background) > 0:
        scene = np.resize(background * np.float32(noise_rms / rms(background)), total).astype(np.float32)
    order = generator.permutation(len(clips))
    lengths = [len(clips[i][1]) for i in order]
    starts = _place(lengths, total, seconds_to_samples(gap_s, sample_rate), generator) if lengths else []
    events = []
    for i, start in zip(order, starts, strict=True):
        label, samples = clips[i]
        gain = noise_rms * 10 ** (snr_db / 20) / max(rms(samples), 1e-9)
        fade = seconds_to_samples(fade_s, sample_rate)
        scene[start : start + len(samples)] += faded(samples, fade) * np.float32(gain)
        end = start + len(samples)
        events.append(Event(label, samples_to_seconds(start, sample_rate), samples_to_seconds(end, sample_rate), 1.0))
    peak = float(np.abs(scene).max(initial=0.0))
    return scene * np.float32(min(1.0, 0.99 / peak) if peak else 1.0), tuple(events)
