# SPDX-License-Identifier: Apache-2.0
"""The clip-statistics branch: statistics worked out by hand, what changes them, and the graph that is exported."""

from __future__ import annotations

import math

import pytest
import torch

from auricle.exporting.onnx import ScoringGraph, check_parity, export_onnx
from auricle.nn.clip_statistics import FARTHEST, OCTAVES, ClipStatistics
from auricle.nn.networks import build_network


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parts(texture: ClipStatistics, logmel: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the statistics of one log-mel by name."""
    mels = logmel.shape[1]
    values, places = texture.statistics(logmel)[0], {}
    sizes = {"mean": mels, "deviation": mels, "steps": mels, "octaves": OCTAVES * len(texture.fluctuating)}
    at = 0
    for name, size in sizes.items():
        places[name], at = values[at : at + size], at + size
    return {**places, "correlation": values[at:]}


def test_two_bands_that_alternate_by_hand():
    """Band 1 is 1, -1, 1, ..., band 2 is 4 above its negative: 16 frames, every step is 2, and nothing is slower."""
    beat = torch.tensor([1.0, -1.0]).repeat(8)
    found = parts(ClipStatistics(2, 1), torch.stack([beat, 4 - beat])[None])
    torch.testing.assert_close(found["mean"], torch.tensor([-2.0, 2.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(found["deviation"], torch.tensor([1.0, 1.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found["steps"], torch.tensor([2.0, 2.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found["correlation"], torch.tensor([-1.0]), atol=2e-3, rtol=0)
    octaves = found["octaves"].reshape(OCTAVES, 2)
    torch.testing.assert_close(
        octaves[0], torch.full((2,), math.log(2.0)), atol=1e-3, rtol=0
    )  # 8 steps of 4, 16 frames
    torch.testing.assert_close(octaves[1:], torch.full((OCTAVES - 1, 2), math.log(1e-3)), atol=1e-2, rtol=0)


def test_slow_fluctuations_are_in_slow_octaves():
    """Ones for 8 frames, then their opposite: averages of 8 frames differ by 2, shorter ones within them do not."""
    beat = torch.tensor([1.0, -1.0]).repeat_interleave(8).repeat(2)
    octaves = parts(ClipStatistics(1, 1), beat[None, None])["octaves"]
    assert int(octaves.argmax()) == 3
    assert octaves[3] == pytest.approx(math.log(2 * 4 * 8 / 32), abs=1e-3)  # two steps of 2, times 8, of 32 frames
    assert octaves[:3].max() < -6.8


def test_loudness_changes_nothing():
    texture, logmel = ClipStatistics(24, 3), noise(2, 24, 77)
    torch.testing.assert_close(texture.statistics(logmel + 5), texture.statistics(logmel), atol=1e-4, rtol=1e-4)


def test_silence_after_a_sound_changes_no_mean_deviation_and_correlation():
    texture, logmel = ClipStatistics(16, 3), noise(1, 16, 60)
    longer = torch.nn.functional.pad(logmel, (0, 40), value=-30.0)
    before, after = parts(texture, logmel), parts(texture, longer)
    for name in ("mean", "deviation", "steps", "correlation"):
        torch.testing.assert_close(after[name], before[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 255, 256, 257, 700])
@pytest.mark.parametrize("mels", [3, 16, 40])
def test_any_length_and_any_number_of_bands_is_finite(frames, mels):
    texture = ClipStatistics(mels, 2)
    for logmel in (noise(2, mels, frames), torch.full((1, mels, frames), -20.0)):
        found = texture.statistics(logmel)
        assert found.shape == (len(logmel), texture.size)
        assert torch.isfinite(found).all()


def test_no_statistic_is_farther_than_the_limit():
    texture = ClipStatistics(4, 1)
    texture.weight.fill_(1.0)
    texture.scale.fill_(1e-9)
    assert texture.logits(noise(1, 4, 50)).abs().max() <= FARTHEST * texture.size


def fitted(small_recipe):
    """A small network whose expert has weights."""
    torch.manual_seed(0)
    network = build_network(small_recipe(dropout=0), 3).eval()
    texture = network.texture
    texture.weight.copy_(0.1 * noise(texture.size, 3))
    texture.mean.copy_(noise(texture.size, seed=1))
    texture.share.fill_(0.75)
    return network


def test_it_speaks_in_use_and_is_silent_in_training(small_recipe):
    network = fitted(small_recipe)
    logmel = network.features(0.1 * noise(2, 4_000))
    with torch.inference_mode():
        together = network.classify(logmel).clip_logits
        texture, network.texture = network.texture, None
        alone = network.classify(logmel).clip_logits
        network.texture = texture
    torch.testing.assert_close(together, 0.75 * (alone + texture.logits(logmel)))
    assert not torch.allclose(together, alone, atol=0.01)
    network.train()
    in_training = network.classify(logmel).clip_logits
    network.texture = None
    assert torch.equal(in_training, network.classify(logmel).clip_logits)
    assert not any(p.requires_grad for p in texture.parameters())


def test_before_it_is_fitted_it_changes_nothing(small_recipe):
    torch.manual_seed(0)
    network = build_network(small_recipe(), 3).eval()
    logmel = network.features(0.1 * noise(2, 4_000))
    with torch.inference_mode():
        assert torch.equal(network.texture(logmel, torch.ones(2, 3)), torch.ones(2, 3))


def test_it_is_in_the_exported_graph_at_every_length(small_recipe):
    graph = ScoringGraph(fitted(small_recipe).for_export(), "single", negatives=False).eval()
    check_parity(graph, export_onnx(graph, 4_000), [4_000, 800, 4_321, 30_001], (1, 3))


def test_a_causal_network_has_none(small_recipe):
    assert build_network(small_recipe(causal=True), 3).texture is None
    assert build_network(small_recipe(texture=False), 3).texture is None
