# SPDX-License-Identifier: Apache-2.0
"""The running form of a causal CRNN against the whole-file form: the same scores however a recording is cut."""

from __future__ import annotations

import pytest
import torch

from auricle.errors import UsageError
from auricle.nn.streaming import RunningCrnn

HEADS = ["attention", "linear_softmax"]


def noise(batch: int, samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(3))


def run_in_pieces(running: RunningCrnn, waveform: torch.Tensor, pieces: list[int]):
    """Return the last clip logits, all frame logits and the state."""
    state, at, frames = torch.zeros(len(waveform), running.state_size), 0, []
    for count in pieces:
        stop = at + count * running.frame_samples
        clip, found, state = running(waveform[:, at:stop], state)
        frames.append(found)
        at = stop
    assert at == waveform.shape[1]
    return clip, torch.cat(frames, dim=1), state


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 4, 2]])
def test_pieces_give_the_scores_of_the_whole(small_network, head, stride, pieces):
    network = small_network(head=head, causal=True, time_stride=stride)
    running = RunningCrnn(network).eval()
    waveform = noise(2, 12 * running.frame_samples)
    with torch.no_grad():
        whole = network(waveform)
        clip, frames, _ = run_in_pieces(running, waveform, pieces)
    torch.testing.assert_close(torch.sigmoid(frames), torch.sigmoid(whole.frame_logits), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.sigmoid(clip), torch.sigmoid(whole.clip_logits), atol=1e-5, rtol=0)


def test_a_batch_is_recordings_that_know_nothing_of_each_other(small_network):
    running = RunningCrnn(small_network(causal=True)).eval()
    waveform = noise(3, 6 * running.frame_samples)
    with torch.no_grad():
        _, together, state = run_in_pieces(running, waveform, [2, 4])
        for row in range(3):
            _, alone, own = run_in_pieces(running, waveform[row : row + 1], [2, 4])
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)
            torch.testing.assert_close(state[row : row + 1], own, atol=1e-4, rtol=1e-5)


def test_the_state_is_a_value(small_network):
    """The same state and samples give the same again, and a call leaves the state as it was."""
    running = RunningCrnn(small_network(causal=True)).eval()
    waveform = noise(1, 4 * running.frame_samples)
    with torch.no_grad():
        _, _, state = run_in_pieces(running, waveform, [4])
        kept = state.clone()
        first, second = running(waveform, state), running(waveform, state)
    assert torch.equal(state, kept)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


def test_the_parts_of_a_state_are_the_memory_of_each_layer(small_network):
    """16 mels, 4 strides of 2 in frequency, width 1/8 (8, 8, 16, 16 channels), each convolution looks back 2 frames."""
    running = RunningCrnn(small_network(labels=3, causal=True))
    overlap = 200 - 80  # window and hop of the log-mel at 8 kHz
    assert running.parts == [overlap, 1 * 16 * 2, 8 * 8 * 2, 8 * 4 * 2, 16 * 2 * 2, 16, 3, 3, 3, 3]
    assert running.state_size == sum(running.parts)


def test_sums_of_a_year_lose_nothing_that_matters(small_network):
    """The weights' sum continues where float32 alone would stand still (2**24 + 1 = 2**24)."""
    running = RunningCrnn(small_network(labels=1, head="linear_softmax", causal=True)).eval()
    state = torch.zeros(1, running.state_size)
    state[0, -4], state[0, -2] = 2.0**23, 2.0**24  # a clip score of a half so far
    with torch.no_grad():
        for _ in range(100):
            _, frames, state = running(torch.zeros(1, running.frame_samples), state)
    added = state[0, -2:].to(torch.float64).sum().item() - 2.0**24
    assert added == pytest.approx(100 * torch.sigmoid(frames)[0, 0, 0].item(), rel=0.2)
    assert added < 100


def test_a_network_that_looks_ahead_cannot_run(small_network):
    expected = (
        r"this network cannot run on a stream: it needs model.causal=true and a head with frame scores "
        r"\(attention, linear_softmax\)"
    )
    with pytest.raises(UsageError, match=expected):
        RunningCrnn(small_network())
