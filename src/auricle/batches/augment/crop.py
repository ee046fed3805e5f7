# SPDX-License-Identifier: Apache-2.0
"""Random changes to training crops. Drawing and applying are apart, so that a draw can be replayed.

``draw_plan`` depends on its generator alone, and the generator on (seed, epoch, index) alone: a crop's
augmentation is a function, not history. Waveform changes run in NumPy where the crop is read (cheap, one
pass each); masks run on the whole batch, on the device, after the front end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from auricle.audio.resample import change_speed
from auricle.batches.augment.augmentation import CutRule, Draw, IntArray, Placement
from auricle.batches.sampling import CROP, generator
from auricle.nn.frontends.logmel import LOG_FLOOR
from auricle.recipe.schema import AugmentSection, Recipe
from auricle.results import FloatArray
from auricle.timeline import pad_window

NOISE_BANK_SAMPLES = 1 << 19
#: Exponents of the noise spectra's fall over frequency: white, pink, brown.
NOISE_COLOURS = (0.0, 1.0, 2.0)
#: Between so many points, evenly over the mel bands, a random frequency response is a straight line in dB.
EQUALISER_POINTS = 5
#: The loudness of a crop is the mean square of the loudest of so many equal parts.
LOUDNESS_PARTS = 50


@dataclass(frozen=True)
class Plan:
    """One crop's augmentation; every field says exactly what will be done.

    Attributes:
        place: where it lies.
        gain: factor.
        noise: (colour, offset into the noise bank, ratio of noise to signal amplitude), or None.
        masks: ``(2, mask, 2)``, for time and frequency the (start, width) as shares of the axis.
        equaliser: ``(point,)``, frequency response in dB; no points leave the crop alone.
    """

    place: Placement
    gain: float
    noise: tuple[int, int, float] | None
    masks: FloatArray
    equaliser: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))


def draw_plan(spec: AugmentSection, rng: np.random.Generator, clip_ms: float, n_mels: int) -> Plan:
    """Draw the augmentation of one crop.

    Args:
        spec: the ranges.
        rng: source of randomness; always consumes the same number of draws.
        clip_ms: length of the clip in milliseconds, for the time masks.
        n_mels: mel bands, for the frequency masks.
    """
    start, shift, speed, gain, share, snr, masks = (
        rng.random(),
        rng.random(),
        rng.random(),
        rng.random(),
        rng.random(),
        rng.random(),
        rng.random((2, spec.masks, 2)),
    )
    colour, offset = int(rng.integers(len(NOISE_COLOURS))), int(rng.integers(NOISE_BANK_SAMPLES))
    response = 2 * rng.random(EQUALISER_POINTS) - 1
    low, high = np.log(spec.speed[0]), np.log(spec.speed[1])
    noise = None
    if spec.noise_snr_db is not None and share < spec.noise_share:
        snr_db = spec.noise_snr_db[0] + snr * (spec.noise_snr_db[1] - spec.noise_snr_db[0])
        noise = (colour, offset, float(10 ** (-snr_db / 20)))
    widest = np.array([spec.time_mask_ms / clip_ms, spec.freq_mask_mels / n_mels])[:, None]
    width = masks[:, :, 1] * np.minimum(widest, 1)
    position = masks[:, :, 0] * (1 - width)
    return Plan(
        place=Placement(start, shift if spec.shift else 0.0, float(np.exp(low + speed * (high - low)))),
        gain=float(10 ** (spec.gain_db * (2 * gain - 1) / 20)),
        noise=noise,
        masks=np.stack([position, width], axis=-1).astype(np.float32),
        equaliser=np.float32(spec.equaliser_db) * response[: EQUALISER_POINTS if spec.equaliser_db else 0].astype("f4"),
    )


@cache
def noise_bank(colour: int) -> FloatArray:
    """Return ``NOISE_BANK_SAMPLES`` samples of noise with a root mean square of 1, always the same."""
    rng = np.random.default_rng([colour, 20_240_501])
    spectrum = np.fft.rfft(rng.standard_normal(NOISE_BANK_SAMPLES))
    frequency = np.maximum(np.arange(len(spectrum)), 32.0)
    noise = np.fft.irfft(spectrum / frequency ** (NOISE_COLOURS[colour] / 2), NOISE_BANK_SAMPLES)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), dtype=np.float32)


def take_crop(samples: FloatArray, length: int, place: Placement) -> FloatArray:
    """Return the crop of a recording at a place, before padding: at most ``length`` samples."""
    needed = length if place.speed == 1.0 else int(length * place.speed) + 2
    start = int(place.start * max(0, len(samples) - needed + 1))
    crop = samples[start : start + needed]
    if place.speed != 1.0 and len(crop) > 1:
        return change_speed(crop, place.speed, length)
    return np.asarray(crop[:length], dtype=np.float32)


def augment_waveform(clip: FloatArray, shift: float, plan: Plan) -> FloatArray:
    """Roll, scale and add noise to a padded clip, shape ``(time,)``; returns a new array."""
    roll = int(shift * len(clip))
    out = np.concatenate([clip[len(clip) - roll :], clip[: len(clip) - roll]]) if roll else clip.copy()
    out *= plan.gain
    if plan.noise is not None:
        colour, offset, ratio = plan.noise
        level = ratio * float(np.sqrt(np.dot(out, out) / len(out)))
        bank = noise_bank(colour)
        index = offset % max(1, len(bank) - len(out))
        out += np.resize(bank[index : index + len(out)], len(out)) * np.float32(level)
    return out


def pad_features(values: FloatArray, length: int, rule: str) -> FloatArray:
    """Fill a log-mel ``(mel, frame)`` up to ``length`` frames, as padding its waveform would."""
    missing = length - values.shape[1]
    if missing <= 0:
        return values[:, :length]
    if rule == "repeat":
        return np.asarray(np.take(values, np.arange(length) % values.shape[1], axis=1), dtype=np.float32)
    return np.pad(values, ((0, 0), (0, missing)), constant_values=float(np.log(LOG_FLOOR)))


class CropAugmentation:
    """Changes to waveforms, one after the other; each has a random generator of its own.

    Args:
        recipe: seed and ranges.
        rule: how crops are cut.
    """

    def __init__(self, recipe: Recipe, rule: CutRule) -> None:
        self.recipe, self.rule = recipe, rule
        self.shape: tuple[int, ...] = (rule.length,)

    def plan(self, epoch: int, clip: int) -> Plan:
        """Return what happens to one crop."""
        recipe = self.recipe
        rng = generator(recipe.seed, CROP, epoch, clip)
        return draw_plan(recipe.augment, rng, recipe.data.clip_s * 1000, recipe.frontend.n_mels)

    def draw(self, epochs: IntArray, clips: IntArray) -> Draw:
        """Draw what happens to the crops of a batch, which are all of the recordings as they are."""
        plans = [self.plan(int(epoch), int(clip)) for epoch, clip in zip(epochs, clips, strict=True)]
        masks, equalisers = (np.stack([getattr(plan, name) for plan in plans]) for name in ("masks", "equaliser"))
        return Draw([plan.place for plan in plans], [0.0] * len(plans), masks, equalisers, plans)

    def cut(self, recording: FloatArray, place: Placement) -> FloatArray:
        """Return a crop at its speed, padded."""
        return pad_window(take_crop(recording, self.rule.length, place), self.rule.length, self.rule.pad)

    def apply(self, parts: FloatArray, places: Sequence[Placement], changes: Sequence[Plan]) -> FloatArray:
        """Roll, scale and add noise."""
        for part, place, plan in zip(parts, places, changes, strict=True):
            part[:] = augment_waveform(part, place.shift, plan)
        return parts


class LogmelAugmentation(CropAugmentation):
    """Changes to log-mels ``(mel, frame)``; speed and noise are changes to waveforms and do not apply."""

    def __init__(self, recipe: Recipe, rule: CutRule) -> None:
        super().__init__(recipe, rule)
        self.shape = (recipe.frontend.n_mels, rule.length)

    def cut(self, recording: FloatArray, place: Placement) -> FloatArray:
        """Return a crop, padded."""
        start = int(place.start * max(0, recording.shape[1] - self.rule.length + 1))
        return pad_features(recording[:, start : start + self.rule.length], self.rule.length, self.rule.pad)

    def apply(self, parts: FloatArray, places: Sequence[Placement], changes: Sequence[Plan]) -> FloatArray:
        """Roll and scale: a factor of the waveform is a summand here."""
        for part, place, plan in zip(parts, places, changes, strict=True):
            part[:] = np.roll(part, int(place.shift * self.rule.length), axis=1) + 2 * np.log(plan.gain)
        return parts


def equalise(features: Tensor, responses: Tensor) -> Tensor:
    """Colour log-mels as microphones and rooms do: a random smooth frequency response (Nam et al. 2022, FilterAugment).

    Args:
        features: ``(batch, mel, frame)``, natural logarithms of power.
        responses: ``(batch, point)`` in dB, evenly over the mel bands; no points change nothing.
    """
    if responses.shape[1] == 0:
        return features
    line = nn.functional.interpolate(responses[:, None], features.shape[1], mode="linear", align_corners=True)
    return features + line.transpose(1, 2) * (math.log(10) / 10)


def mask_features(features: Tensor, masks: Tensor) -> Tensor:
    """Blank time and frequency spans (SpecAugment, Park et al. 2019) to the mean of each clip.

    Waveforms have no frequencies to blank, and their mean is silence.

    Args:
        features: ``(batch, mel, frame)``, or waveforms ``(batch, sample)``.
        masks: ``(batch, 2, mask, 2)``: for time and frequency the (start, width) as shares.
    """
    if masks.shape[2] == 0:
        return features
    if features.dim() == 2:
        return features.masked_fill(_spans(masks[:, 0], features.shape[1]), 0)
    mels, frames = features.shape[1:]
    mean = features.mean(dim=(1, 2), keepdim=True)
    in_time = _spans(masks[:, 0], frames)[:, None, :]
    in_mel = _spans(masks[:, 1], mels)[:, :, None]
    return torch.where(in_time | in_mel, mean, features)


def _spans(masks: Tensor, size: int) -> Tensor:
    """Return which of ``size`` places lie in any of the spans, shape ``(batch, size)``."""
    place = (torch.arange(size, device=masks.device) + 0.5) / size
    start, end = masks[..., :1], masks[..., :1] + masks[..., 1:]
    return ((place >= start) & (place < end)).any(dim=1)


def level_weights(own: Tensor, partner: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors by which two crops are added so that ``weight`` is that of their loudness.

    Between-class learning (Tokozume et al. 2018): factors ``p`` and ``1 - p`` with ``p g1 : (1 - p) g2`` as
    ``weight : 1 - weight``, divided by their norm, so that mixes are as loud as what they are made of. The loudness
    ``g`` is that of the loudest part, because a bark of a fifth of a second is no quieter for the silence around it.

    Args:
        own: waveforms ``(batch, sample)``.
        partner: of the same shape.
        weight: ``(batch,)`` in [0, 1].

    Returns:
        Factors of ``own`` and of ``partner``, each ``(batch, 1)``.
    """
    loud, other = _loudness(own), _loudness(partner)
    first, second = weight * other, (1 - weight) * loud
    norm = torch.sqrt(first**2 + second**2)
    return (first / norm)[:, None], (second / norm)[:, None]


def _loudness(crops: Tensor) -> Tensor:
    """Return the root of the mean square of the loudest part of each crop; of silence, next to nothing."""
    size = max(1, crops.shape[1] // LOUDNESS_PARTS)
    power = nn.functional.avg_pool1d(crops.square()[:, None], size, ceil_mode=True)
    return power.amax(dim=(1, 2)).clamp_min(1e-10).sqrt()
