# SPDX-License-Identifier: Apache-2.0
"""Frame targets move as the sound moves: by hand, against a slow reference, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.toydata import RATE, tiny

from auricle.batches.augment.augmentation import CutRule, Placement
from auricle.batches.augment.batch import WaveAugmentation
from auricle.batches.augment.crop import CropAugmentation
from auricle.batches.frame_targets import (
    FrameAxis,
    FrameBatch,
    FrameLoss,
    FrameTargets,
    crop_spans,
    frame_axis,
    frame_shares,
    frame_truth,
    make_frame_targets,
    merged_spans,
)
from auricle.batches.targets import Batch, ClipBatch, ClipTargets, ClipTask, Crop, collate_targets
from auricle.data.manifest import Clip
from auricle.nn.network import NetworkOutput
from auricle.nn.networks import build_network
from auricle.results import Event
from auricle.timeline import FrameGrid

HOP = 100
LABELS = ("a", "b")


def events(*spans: tuple[str, float, float]) -> tuple[Event, ...]:
    return tuple(Event(label, onset, offset, 1.0) for label, onset, offset in spans)


def rule(pad: str = "zero", **changes) -> CutRule:
    return CutRule(1_000, pad, **changes)


def shares_of(spans, frames: int = 10) -> np.ndarray:
    return frame_shares(spans, FrameAxis(0.0, HOP, frames), 2)


def test_shares_by_hand():
    spans = merged_spans(events(("a", 0.05, 0.25), ("b", 0.3, 0.4), ("a", 0.2, 0.275), ("b", 0.95, 2.0)), LABELS, 1_000)
    assert spans.tolist() == [[0, 50, 275], [1, 300, 400], [1, 950, 2_000]]
    expected = np.zeros((10, 2))
    expected[:3, 0] = 0.5, 1.0, 0.75
    expected[[3, 9], 1] = 1.0, 0.5
    np.testing.assert_allclose(shares_of(spans), expected, atol=1e-6)


def test_frames_lie_as_the_grid_says():
    # Frame 0 of the plain grid is centred on its own span; a log-mel entry of 10 samples makes it ten times shorter.
    assert frame_axis(FrameGrid(HOP, 300, 49.5), 5, 1.0) == FrameAxis(0.0, 100.0, 5)
    assert frame_axis(FrameGrid(HOP, 300, 49.5), 5, 10.0) == FrameAxis(0.0, 10.0, 5)
    assert frame_axis(FrameGrid(HOP, 300, 99.5), 5, 1.0) == FrameAxis(50.0, 100.0, 5)


def test_truth_is_half_a_frame():
    clip = Clip("x", "x", ("a",), events=events(("a", 0.05, 0.149)))
    truth = frame_truth(clip, LABELS, FrameGrid(HOP, 300, 49.5), 3, 1_000)
    np.testing.assert_array_equal(truth, [[1, 0], [0, 0], [0, 0]])  # 50 of 100, then 49


@pytest.mark.parametrize("kind", [CropAugmentation, WaveAugmentation])
@pytest.mark.parametrize("pad", ["zero", "repeat"])
@pytest.mark.parametrize("available", [250, 700, 2_600])
@pytest.mark.parametrize("speed", [(1.0, 1.0), (0.8, 1.25)])
def test_targets_move_as_the_sound_does(kind, pad, available, speed):
    """The slow reference: the events as a wave of ones, sent through the augmentation and averaged over each frame."""
    off = ("augment.gain_db=0", "augment.noise_snr_db=null", "augment.filter_share=0", "augment.impulse_share=0")
    recipe = tiny(f"augment.speed=[{speed[0]},{speed[1]}]", "data.clip_s=0.125", f"seed={available}", *off)
    spans = merged_spans(events(("a", 0.1, 0.22), ("a", 0.4, 0.65), ("a", 1.0, 1.7), ("a", 2.4, 9.0)), LABELS, 1_000)
    wave = np.zeros(available, np.float32)
    for _, begin, end in spans:
        wave[round(begin) : round(end)] = 1
    augmentation = kind(recipe, rule(pad))
    draw = augmentation.draw(np.zeros(30, np.int64), np.arange(30))
    assert len({place.shift for place in draw.places}) == 30
    parts = np.stack([augmentation.cut(wave, place) for place in draw.places])
    moved = augmentation.apply(parts, draw.places, draw.changes).reshape(30, 10, HOP).mean(axis=2)
    for place, reference in zip(draw.places, moved, strict=True):
        found = shares_of(crop_spans(spans, available, place, augmentation.rule))[:, 0]
        np.testing.assert_allclose(found, reference, atol=0.035)  # edges between two samples, of up to five repeats


def test_targets_of_a_crop_are_the_crop_of_the_targets():
    spans = merged_spans(events(("a", 0.13, 0.77), ("b", 1.0, 1.01), ("a", 2.5, 2.93)), LABELS, 1_000)
    whole = shares_of(spans, 30)
    for first in range(20):
        crop = crop_spans(spans, 3_000, Placement(first * HOP / 2_001 + 1e-9), rule())
        np.testing.assert_allclose(shares_of(crop), whole[first : first + 10], atol=1e-6)
        for filled in (None, 1_000):
            later = crop_spans(spans, 3_000 - first * HOP, Placement(), rule(filled=filled), first=first * HOP)
            np.testing.assert_allclose(shares_of(later), whole[first : first + 10], atol=1e-6)


def test_targets_of_a_roll_are_the_roll_of_the_targets():
    spans = merged_spans(events(("a", 0.13, 0.77), ("b", 0.9, 1.0)), LABELS, 1_000)
    whole = shares_of(spans)
    for shift in range(10):
        rolled = crop_spans(spans, 1_000, Placement(shift=shift / 10 + 1e-9), rule())
        np.testing.assert_allclose(shares_of(rolled), np.roll(whole, shift, axis=0), atol=1e-6)


def test_speed_does_not_move_logmels():
    spans = merged_spans(events(("a", 0.2, 0.4)), LABELS, 1_000)
    moved = crop_spans(spans, 1_000, Placement(speed=2.0), rule(speeds=False))
    np.testing.assert_array_equal(moved, spans)


def frame_targets(clips: list[Clip], **settings) -> FrameTargets:
    axis = FrameAxis(0, HOP, 10)
    return make_frame_targets(clips, LABELS, axis, 1_000, rule(), **settings)


WEAK = Clip("w", "w", ("a",))
SILENT = Clip("s", "s", (), negative=True, events=())
STRONG = Clip("t", "t", ("a", "b"), events=events(("a", 0.1, 0.45), ("b", 1.5, 1.6)))


def crop_of(clip: int) -> Crop:
    return Crop(clip, 0, 2_000, Placement())


def test_a_weak_clip_and_a_mixture_have_no_targets():
    source = frame_targets([WEAK, SILENT])
    assert source.of_crop(crop_of(0)) is None
    silent = source.of_crop(crop_of(1))
    assert silent is not None
    assert silent.shape == (10, 2)
    assert not silent.any()


def test_a_crop_of_a_strong_clip_has_the_labels_that_it_holds():
    """Class b sounds after the crop; of the weak clip it is known that b is in none of its frames."""
    labels = ClipTargets(np.array([[1, 1], [1, 0], [0, 0]], np.float32), ClipTask("multi", negatives=True))
    sources = [labels, frame_targets([STRONG, WEAK, SILENT])]
    found = collate_targets(sources, [crop_of(0), crop_of(1), crop_of(2)])
    assert found["clip"].labels.tolist() == [[1, 0], [1, 0], [0, 0]]
    assert found["frames"].known.tolist() == [[1, 1], [0, 1], [1, 1]]
    expected = np.zeros((10, 2))
    expected[1:5, 0] = 1, 1, 1, 0.5
    np.testing.assert_allclose(found["frames"].frames[0], expected, atol=1e-6)
    assert not found["frames"].frames[1:].any()
    assert labels.labels[0].tolist() == [1, 1]  # those of the run stay


def test_mixing_mixes_frames_and_knows_what_both_know():
    frames = torch.stack([torch.ones(3, 2), torch.zeros(3, 2), torch.full((3, 2), 0.5)])
    known = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    partner, weight = torch.tensor([1, 2, 0]), torch.tensor([0.75, 0.25, 1.0])
    mixed = frame_targets([WEAK]).mix(FrameBatch(frames, known), partner, weight)
    assert mixed.frames[:, 0, 0].tolist() == pytest.approx([0.75, 0.375, 0.5])
    assert mixed.known.tolist() == [[0, 1], [0, 1], [1, 1]]  # the third holds its own item alone


def batch(frames: torch.Tensor, known: torch.Tensor) -> Batch:
    size = len(known)
    targets = {"clip": ClipBatch(torch.ones(size, 2)), "frames": FrameBatch(frames, known)}
    return Batch(torch.zeros(size, 8), torch.zeros(size, 2, 0, 2), torch.zeros(size, 0), torch.ones(size),
                 torch.arange(size), targets)  # fmt: skip


def test_the_frame_part_of_the_loss_by_hand():
    frame_logits = torch.tensor([[[2.0, -1.0], [0.0, 3.0]]])
    frames = torch.tensor([[[1.0, 0.0], [0.25, 1.0]]])
    output = NetworkOutput(torch.zeros(1, 2), frame_logits, torch.zeros(1, 1))
    step = batch(frames, torch.tensor([[1.0, 0.0]]))
    loss = frame_targets([STRONG], weight=3.0).loss(1)
    assert isinstance(loss, FrameLoss)
    parts = loss(output, step)
    # -log sigmoid(2) and, at logit 0, log 2 whatever the target; class b is not known.
    assert float(parts["frames"]) == pytest.approx(3 * (np.log1p(np.exp(-2)) + np.log(2)) / 2, rel=1e-6)
    assert loss(output._replace(frame_logits=None), step) == {}
    clip = ClipTargets(np.ones((1, 2), np.float32), ClipTask("multi", negatives=False), absent=False).loss(1)
    assert {k: float(v) for k, v in clip(output, step).items()} == pytest.approx({"clip": 2 * np.log(2)}, rel=1e-6)


def test_the_frames_of_a_network_are_those_of_its_grid():
    network = build_network(tiny(), 2).eval()
    with torch.inference_mode():
        frames = network(torch.zeros(1, RATE)).frame_logits
    assert frames is not None
    axis = frame_axis(network.grid, frames.shape[1], 1.0)
    assert abs(axis.first) <= axis.hop / 2
    assert axis.first + axis.frames * axis.hop == pytest.approx(RATE, abs=axis.hop)
