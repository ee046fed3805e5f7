# SPDX-License-Identifier: Apache-2.0
"""Random changes to a whole batch of waveforms at once, drawn apart from applied.

For networks on waveforms: what a channel does to speech (RawBoost, Tak et al. 2022: filters with distortion,
impulses that follow the signal, stationary noise), and how loud it is. Each crop's draw is a function of (seed, epoch,
clip); no step loops over the crops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view

from auricle.batches.augment.augmentation import CutRule, Draw, IntArray, Placement
from auricle.batches.augment.crop import NOISE_BANK_SAMPLES, NOISE_COLOURS, noise_bank
from auricle.batches.augment.hashed_random import uniforms
from auricle.recipe.schema import AugmentSection, Recipe
from auricle.results import FloatArray
from auricle.timeline import pad_window

Array = npt.NDArray[np.float64]

#: Stop bands of a random channel, as in RawBoost.
NOTCHES = 5
#: Widths of a stop band as shares of half the sample rate (100 to 1,000 Hz at 16 kHz).
NOTCH_WIDTHS = (100 / 8_000, 1_000 / 8_000)
#: Level of the distortion's even and odd part beside the signal, in dB.
DISTORTION_DB = (-40.0, -15.0)
#: Largest share of the samples that impulses hit.
IMPULSE_DENSITY = 0.1
#: Largest height of an impulse, relative to the sample that it hits.
IMPULSE_HEIGHT = 2.0
#: The number of random numbers a crop takes, whatever is switched on: one setting does not move another's draw.
DRAWS = 16 + 3 * NOTCHES
#: Keeps silence from being divided by its own level.
SMALLEST = 1e-9
WAVE = 5  # a purpose, see ``batches``


@dataclass(frozen=True)
class WavePlan:
    """The changes to the crops of one batch; every field says exactly what will be done to which crop.

    Attributes:
        start: where each crop begins, as a share in [0, 1) of what may be skipped, shape ``(crop,)``.
        shift: share in [0, 1) of the crop that is rolled from its end to its start.
        speed: playback speed; 1 leaves the crop alone.
        variant: which copy of the recording is taken, a share in [0, 1) of those there are.
        gain: factor, shape ``(crop,)``.
        notches: centre, width (as shares of half the sample rate) and depth of each stop band, shape
            ``(crop, notch, 3)``; a depth of 0 is none.
        distortion: level of the even and the odd part, shape ``(crop, 2)``.
        impulses: share of the samples that impulses hit, shape ``(crop,)``.
        noise: ratio of noise to signal amplitude, shape ``(crop,)``.
        colour: of the noise, shape ``(crop,)``.
        offset: place in the banks of random samples, shape ``(crop,)``.
        masks: ``(crop, 2, mask, 2)``, as in ``augment.Plan``; nothing is blanked over frequency.
    """

    start: Array
    shift: Array
    speed: Array
    variant: Array
    gain: Array
    notches: Array
    distortion: Array
    impulses: Array
    noise: Array
    colour: IntArray
    offset: IntArray
    masks: FloatArray


def _between(share: Array, low: float, high: float) -> Array:
    return low + share * (high - low)


def draw_waves(spec: AugmentSection, seed: int, epochs: IntArray, clips: IntArray, clip_ms: float) -> WavePlan:
    """Draw the changes to the crops of a batch.

    Args:
        spec: the ranges.
        seed: of the run.
        epochs: of each crop, shape ``(crop,)``.
        clips: numbers of the clips, shape ``(crop,)``.
        clip_ms: length of a crop in milliseconds, for the time masks.
    """
    u = uniforms(seed, WAVE, epochs, clips, DRAWS + 2 * spec.masks)
    notch = u[:, 16:DRAWS].reshape(-1, NOTCHES, 3)
    filtered = u[:, 3] < spec.filter_share
    width = _between(notch[..., 1], *NOTCH_WIDTHS)
    depth = np.where(filtered[:, None], notch[..., 2], 0.0)
    level = 10 ** (_between(u[:, 4:6], *DISTORTION_DB) / 20)
    snr_db = _between(u[:, 9], *(spec.noise_snr_db if spec.noise_snr_db is not None else (0.0, 0.0)))
    noisy = (u[:, 8] < spec.noise_share) & (spec.noise_snr_db is not None)
    mask_width = u[:, DRAWS::2] * min(1.0, spec.time_mask_ms / clip_ms)
    masks = np.zeros((len(clips), 2, spec.masks, 2), np.float32)
    masks[:, 0] = np.stack([u[:, DRAWS + 1 :: 2] * (1 - mask_width), mask_width], axis=-1)
    return WavePlan(
        start=u[:, 0],
        shift=u[:, 12] if spec.shift else np.zeros(len(clips)),
        speed=np.exp(_between(u[:, 13], *np.log(spec.speed))),
        variant=u[:, 1],
        gain=10 ** (_between(u[:, 2], -spec.gain_db, spec.gain_db) / 20),
        notches=np.stack([notch[..., 0], width, depth], axis=-1),
        distortion=np.where(filtered[:, None], level, 0.0),
        impulses=np.where(u[:, 6] < spec.impulse_share, u[:, 7] * IMPULSE_DENSITY, 0.0),
        noise=np.where(noisy, 10 ** (-snr_db / 20), 0.0),
        colour=(u[:, 10] * len(NOISE_COLOURS)).astype(np.int64),
        offset=(u[:, 11] * NOISE_BANK_SAMPLES).astype(np.int64),
        masks=masks,
    )


class WaveAugmentation:
    """Changes to whole batches of waveforms.

    Args:
        recipe: seed and ranges.
        rule: how crops are cut: recordings are filled up to what the fastest crop needs.
    """

    def __init__(self, recipe: Recipe, rule: CutRule) -> None:
        self.recipe = recipe
        fastest = recipe.augment.speed[1]
        self.needed = rule.length if fastest == 1.0 else int(rule.length * fastest) + 2
        self.rule = replace(rule, filled=self.needed)
        self.shape = (self.needed,)

    def draw(self, epochs: IntArray, clips: IntArray) -> Draw:
        """Draw what happens to the crops of a batch, and which copies of the recordings they are of."""
        recipe = self.recipe
        plan = draw_waves(recipe.augment, recipe.seed, epochs, clips, recipe.data.clip_s * 1000)
        places = [Placement(*map(float, place)) for place in zip(plan.start, plan.shift, plan.speed, strict=True)]
        return Draw(places, plan.variant.tolist(), plan.masks, np.zeros((len(clips), 0), np.float32), plan)

    def cut(self, recording: FloatArray, place: Placement) -> FloatArray:
        """Return what the fastest crop needs from a place on, ``(needed,)``."""
        short = len(recording) < self.needed
        whole = pad_window(recording, self.needed, self.rule.pad) if short else recording
        first = int(place.start * (len(whole) - self.needed + 1))
        return whole[first : first + self.needed]

    def apply(self, parts: FloatArray, places: Sequence[Placement], changes: WavePlan) -> FloatArray:
        """Change all crops at once."""
        shift = np.array([place.shift for place in places])
        return apply_waves(parts, replace(changes, shift=shift), self.rule.length)


def apply_waves(waves: FloatArray, plan: WavePlan, length: int) -> FloatArray:
    """Return the changed crops, shape ``(crop, length)``; the input stays as it is.

    Args:
        waves: ``(crop, sample)``, longer than ``length`` where speeds need more.
        plan: what to do.
        length: of a crop in samples.
    """
    out = waves[:, :length].copy() if (plan.speed == 1).all() else change_speeds(waves, plan.speed, length)
    if plan.shift.any():
        roll = (plan.shift * length).astype(np.int64)
        out = np.take_along_axis(out, (np.arange(length) - roll[:, None]) % length, axis=1)
    filtered = np.flatnonzero(plan.notches[..., 2].any(axis=1))
    if len(filtered):
        out[filtered] = pass_channel(out[filtered], plan.notches[filtered], plan.distortion[filtered])
    hit = np.flatnonzero(plan.impulses)
    if len(hit):
        out[hit] = add_impulses(out[hit], plan.impulses[hit], plan.offset[hit])
    noisy = np.flatnonzero(plan.noise)
    if len(noisy):
        ratio, colour, offset = plan.noise[noisy], plan.colour[noisy], plan.offset[noisy]
        out[noisy] = add_noise(out[noisy], ratio, colour, offset)
    out *= plan.gain[:, None].astype(np.float32)
    return out


def change_speeds(waves: FloatArray, speed: Array, length: int) -> FloatArray:
    """Read each wave at its own speed by linear interpolation; at the end of a wave its last sample stands."""
    sound = torch.from_numpy(waves)
    # Positions in float64: float32 would lose the place between samples after some seconds.
    place = torch.arange(length, dtype=torch.float64) * torch.from_numpy(speed)[:, None]
    left = place.clamp_(max=waves.shape[1] - 1).long().clamp_(max=waves.shape[1] - 2)
    share = place.sub_(left).float()
    before = torch.gather(sound, 1, left)
    return np.asarray(torch.lerp(before, torch.gather(sound, 1, left.add_(1)), share).numpy())


def pass_channel(waves: FloatArray, notches: Array, distortion: Array) -> FloatArray:
    """Distort each wave a little and pass it through its own stop bands; loudness stays.

    The filter has zero phase and works on the whole crop at once, by the Fourier transform (PyTorch's, which takes a
    third of the time of NumPy's).

    Args:
        waves: ``(crop, sample)``.
        notches: ``(crop, notch, 3)``, see ``WavePlan``.
        distortion: ``(crop, 2)``: level of ``x |x|`` and of ``x^3``, for a wave with a peak of 1.
    """
    sound = torch.from_numpy(waves)
    x = sound / (sound.abs().amax(1, keepdim=True) + SMALLEST)
    even, odd = torch.from_numpy(distortion.astype(np.float32))[:, :, None].unbind(1)
    x = x * (1 + even * x.abs() + odd * x.square())
    length = _fast_length(waves.shape[1])
    spectrum = torch.fft.rfft(x, length)
    spectrum *= torch.from_numpy(channel_response(notches, spectrum.shape[1]))
    y = torch.fft.irfft(spectrum, length)[:, : waves.shape[1]]
    before, after = (w.square().mean(1, keepdim=True).sqrt() for w in (sound, y))
    return np.asarray((y * (before / after.clamp_min(SMALLEST))).numpy())


def channel_response(notches: Array, bins: int) -> FloatArray:
    """Return the amplitude over ``bins`` frequencies from 0 to half the sample rate, shape ``(crop, bin)``."""
    coarse = np.linspace(0, 1, 257)
    centre, width, depth = (notches[..., i, None] for i in range(3))
    passed = np.prod(1 - depth * np.exp(-np.square((coarse - centre) / (0.5 * width))), axis=1)
    place = np.linspace(0, 256, bins)
    left = np.minimum(place.astype(np.int64), 255)
    share = (place - left).astype(np.float32)
    passed = passed.astype(np.float32)
    return np.asarray(passed[:, left] * (1 - share) + passed[:, left + 1] * share, np.float32)


def _fast_length(samples: int) -> int:
    """Return the next length of the form ``2^k`` or ``3 * 2^k`` or ``5 * 2^k`` or ``9 * 2^k``, quick to transform."""
    return min(f << max(0, math.ceil(math.log2(samples / f))) for f in (1, 3, 5, 9))


def add_impulses(waves: FloatArray, shares: Array, offset: IntArray) -> FloatArray:
    """Add clicks to random samples, each as high as the sample it hits allows (RawBoost's second noise)."""
    out = waves.copy()
    hit = np.nonzero(_rows(_uniform_bank(0), offset, waves.shape[1]) < shares[:, None].astype(np.float32))
    height = _uniform_bank(1)[(offset[hit[0]] + hit[1]) % NOISE_BANK_SAMPLES] * 2 - 1
    out[hit] *= 1 + height * np.float32(IMPULSE_HEIGHT)
    return out


def add_noise(waves: FloatArray, ratio: Array, colour: IntArray, offset: IntArray) -> FloatArray:
    """Add stationary noise of the given colours at the given ratios of amplitude."""
    level = np.sqrt(np.mean(np.square(waves), axis=1)) * ratio
    noise = _rows(_noise_banks(), offset, waves.shape[1], colour)
    return np.asarray(waves + noise * level[:, None].astype(np.float32), np.float32)


@cache
def _noise_banks() -> FloatArray:
    return np.stack([noise_bank(colour) for colour in range(len(NOISE_COLOURS))])


@cache
def _uniform_bank(number: int) -> FloatArray:
    return np.random.default_rng([number, 20_241_105]).random(NOISE_BANK_SAMPLES, np.float32)


def _rows(bank: FloatArray, offset: IntArray, length: int, which: IntArray | None = None) -> FloatArray:
    """Return ``length`` samples of a bank from each offset on; crops longer than a bank go round."""
    if length >= bank.shape[-1]:
        bank = np.tile(bank, (*[1] * (bank.ndim - 1), math.ceil((length + 1) / bank.shape[-1])))
    views = sliding_window_view(bank, length, axis=-1)
    place = offset % views.shape[-2]
    return np.asarray(views[place] if which is None else views[which, place], np.float32)
