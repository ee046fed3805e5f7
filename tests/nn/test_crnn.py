# SPDX-License-Identifier: Apache-2.0
"""The CRNN as time sees it: what a frame hears, what it does not, and when."""

from __future__ import annotations

import pytest
import torch

from auricle.errors import UsageError
from auricle.nn.modules.crnn import BLOCKS, TimeConv, TimeDropout
from auricle.nn.networks import build_network
from auricle.timeline import frame_grid

STRIDES = [2, 4, 8]
CAUSAL = [False, True]


def conv_states(network, waveform: torch.Tensor) -> torch.Tensor:
    """Return what the GRU is given, ``(batch, frame, feature)``: the part with a finite receptive field."""
    x = network.norm(network.features(waveform))[:, None]
    return network.blocks(x).permute(0, 3, 2, 1).flatten(2)


def field_of(network, frame: int) -> tuple[int, int]:
    """Return the first and the last sample that a frame hears, from the layers as time sees them."""
    grid = frame_grid(network.time_layers)
    first = grid.first_centre_samples + frame * grid.hop_samples - (grid.receptive_samples - 1) / 2
    assert first == int(first)
    return int(first), int(first) + grid.receptive_samples - 1


@pytest.mark.parametrize("causal", CAUSAL)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
def test_a_convolution_gives_one_frame_for_each_stride(kernel, stride, causal):
    time = TimeConv(kernel, stride, causal)
    assert sum(time.padding) == kernel - stride
    assert time.padding == ((2, 0) if causal else (1, 1))
    assert (time.layer.kernel, time.layer.stride, time.layer.padding) == (kernel, stride, time.padding[0])


@pytest.mark.parametrize("causal", CAUSAL)
@pytest.mark.parametrize("stride", STRIDES)
def test_frames_are_the_samples_over_the_hop(small_network, stride, causal):
    network = small_network(time_stride=stride, causal=causal)
    assert network.grid.hop_samples == network.min_samples == 80 * stride
    for samples in (network.min_samples, network.min_samples + 1, 1_999, 4_000, 6_123):
        frames = network(torch.zeros(1, samples)).frame_logits.shape[1]
        assert frames == network.frames(samples) == samples // (80 * stride)


@pytest.mark.parametrize("stride", STRIDES)
def test_frames_lie_in_the_middle_of_their_spans(small_network, stride):
    """Half a sample off: the front end's window has an even length."""
    grid = small_network(time_stride=stride).grid
    assert grid.first_centre_samples == pytest.approx((grid.hop_samples - 1) / 2, abs=0.5)


def test_a_causal_network_has_the_same_field_moved_into_the_past(small_network):
    causal, other = small_network(causal=True), small_network()
    assert causal.grid.receptive_samples == other.grid.receptive_samples
    assert other.grid == frame_grid(other.time_layers)
    assert causal.grid.first_centre_samples == (causal.grid.hop_samples - 1) / 2  # a frame stands for its own span
    assert field_of(causal, 0)[1] == causal.grid.hop_samples - 1  # and hears nothing after the end of it
    assert field_of(other, 0)[1] > other.grid.hop_samples


@pytest.mark.parametrize("causal", CAUSAL)
@pytest.mark.parametrize("stride", STRIDES)
def test_a_frame_hears_its_receptive_field_and_no_sample_beyond(small_network, stride, causal):
    network = small_network(time_stride=stride, causal=causal)
    grid = network.grid
    samples = grid.receptive_samples + 12 * grid.hop_samples
    waveform = (torch.randn(1, samples, generator=torch.Generator().manual_seed(0)) * 0.1).requires_grad_()
    states = conv_states(network, waveform)
    frame = states.shape[1] // 2
    (gradient,) = torch.autograd.grad(states[0, frame].sum(), waveform)
    heard = gradient[0].nonzero().flatten()
    first, last = field_of(network, frame)
    assert last - first + 1 == grid.receptive_samples
    assert heard.min() >= first
    assert heard.max() <= last
    # The ends of a Hann window are zero, and a dead ReLU may hide a little more: but not a convolution's reach.
    assert heard.min() <= first + grid.hop_samples
    assert heard.max() >= last - grid.hop_samples


@pytest.mark.parametrize("stride", STRIDES)
def test_an_impulse_moves_the_frames_around_it_most(small_network, stride):
    network = small_network(time_stride=stride)
    hop = network.grid.hop_samples
    quiet = torch.randn(1, 20 * hop, generator=torch.Generator().manual_seed(0)) * 1e-3
    for frame in (5, 12):
        loud = quiet.clone()
        loud[0, frame * hop + hop // 2] = 0.5
        with torch.no_grad():
            change = (conv_states(network, loud) - conv_states(network, quiet)).abs().sum(-1)[0]
        assert change[frame] > 0
        centre = (change * torch.arange(20)).sum() / change.sum()
        assert centre.item() == pytest.approx(frame, abs=0.75)


@pytest.mark.parametrize("head", ["attention", "linear_softmax"])
@pytest.mark.parametrize("stride", STRIDES)
def test_a_causal_network_does_not_look_ahead(small_network, head, stride):
    network = small_network(head=head, causal=True, time_stride=stride)
    hop = network.grid.hop_samples
    waveform = torch.randn(1, 10 * hop, generator=torch.Generator().manual_seed(0))
    changed = waveform.clone()
    changed[0, 6 * hop :] += 1
    with torch.no_grad():
        before, after = network(waveform).frame_logits, network(changed).frame_logits
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, 6], after[:, 6], atol=1e-5)


def test_another_network_does_look_ahead(small_network):
    """The test above would see it."""
    network = small_network()
    waveform = torch.randn(1, 3_200, generator=torch.Generator().manual_seed(0))
    changed = waveform.clone()
    changed[0, 1_920:] += 1
    with torch.no_grad():
        before, after = network(waveform).frame_logits, network(changed).frame_logits
    assert not torch.allclose(before[:, :6], after[:, :6], atol=1e-4)


def test_a_clip_shorter_than_a_frame_is_refused(small_recipe):
    expected = (
        r"a clip of 240 samples \(0.03 s\) is shorter than one frame of the network, 320 samples \(0.04 s\); "
        r"raise data.clip_s, or lower model.time_stride or frontend.hop_ms"
    )
    with pytest.raises(UsageError, match=expected):
        build_network(small_recipe(clip_s=0.03), 2)
    assert build_network(small_recipe(clip_s=0.04), 2).eval()(torch.zeros(1, 320)).frame_logits.shape == (1, 1, 2)


def test_width_scales_channels_in_steps_of_8(small_recipe):
    channels = [block.outputs for block in build_network(small_recipe(width=1.0), 2).blocks]
    assert channels == [block[0] for block in BLOCKS]
    assert [block.outputs for block in build_network(small_recipe(width=0.5), 2).blocks] == [8, 24, 48, 48]
    assert [block.outputs for block in build_network(small_recipe(width=0.125), 2).blocks] == [8, 8, 16, 16]


def test_the_default_network_is_small(small_recipe):
    network = build_network(small_recipe(width=1.0, sample_rate=16_000, n_mels=64, clip_s=5.0), 10)
    assert sum(p.numel() for p in network.parameters()) < 500_000
    assert network.frames(80_000) == 125  # 40 ms each


def test_time_dropout_drops_features_of_a_clip_at_all_times():
    torch.manual_seed(0)
    dropout = TimeDropout(0.25).train()
    out = dropout(torch.ones(50, 7, 40))
    assert torch.equal(out, out[:, :1].expand(-1, 7, -1))
    assert sorted(out.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert not torch.equal(out[0], out[1])


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_time_dropout_is_nothing_at_rate_0_and_in_evaluation(rate, training):
    x = torch.randn(2, 3, 4)
    assert TimeDropout(rate).train(training)(x) is x


def test_the_input_norm_has_statistics_and_no_weights(small_network):
    network = small_network()
    assert list(network.norm.parameters()) == []
    assert network.norm.running_mean.abs().sum() > 0
