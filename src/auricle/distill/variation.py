# SPDX-License-Identifier: Apache-2.0
"""Changes of crops while a student trains, which leave what their teacher said of them true, or nearly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from auricle.distill.crop_store import CropBatch
from auricle.nn.frontends.sine_mel import FLOOR

#: Points of a random frequency response, evenly spaced in mel.
POINTS = 6


def turn(batch: CropBatch, steps: Tensor) -> CropBatch:
    """Return crops turned in time, each by so many steps of the teacher's map: what leaves at the end begins anew.

    Args:
        batch: crops with their targets, all of which turn with them.
        steps: of each item, ``(item,)``.
    """
    long = batch.deep.shape[2]
    return replace(
        batch,
        features=_roll(batch.features, steps, long),
        deep=_roll(batch.deep, steps, long),
        activity=_roll(batch.activity, steps, long),
        source_deep=_roll(batch.source_deep, steps, long),
    )


def _roll(values: Tensor, steps: Tensor, long: int) -> Tensor:
    """Roll the last axis of ``(item, ..., time)``, each item by so many of ``long`` steps."""
    time = values.shape[-1]
    shift = torch.round(steps * (time / long)).long()
    position = (torch.arange(time) - shift[:, None]) % time
    shape = (len(values), *[1] * (values.ndim - 2), time)
    return values.gather(-1, position.reshape(shape).expand(values.shape))


def equalise(features: Tensor, points_db: Tensor) -> Tensor:
    """Return log-mels ``(item, mel, frame)`` under smooth frequency responses through ``(item, point)`` dB.

    What stands under the logarithm beside the power of a band does not change, so silence stays silence.
    """
    mels = features.shape[1]
    curve = nn.functional.interpolate(points_db[:, None], mels, mode="linear", align_corners=True)[:, 0, :, None]
    power = (features.exp() - FLOOR).clamp_min(0)
    return torch.log(power * 10 ** (curve / 10) + FLOOR)


def vary(batch: CropBatch, rng: np.random.Generator, equaliser_db: float) -> CropBatch:
    """Return crops turned at random and slightly equalised."""
    items = len(batch.logits)
    turned = turn(batch, torch.from_numpy(rng.integers(batch.deep.shape[2], size=items)))
    points = torch.from_numpy(rng.uniform(-equaliser_db, equaliser_db, (items, POINTS)).astype(np.float32))
    return replace(turned, features=equalise(turned.features, points))
