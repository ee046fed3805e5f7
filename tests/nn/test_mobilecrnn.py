# SPDX-License-Identifier: Apache-2.0
"""The student that begins as its teacher's first layers: its size, its frames, and that what it copies is the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
from auricle.nn.modules.efficientat import EfficientAt
from auricle.nn.modules.mobilecrnn import RESIDUALS, MobileCrnn


def test_it_is_small_with_the_width_of_mn04():
    network = MobileCrnn(KaldiMelSpec(), 10)
    assert sum(p.numel() for p in network.parameters()) < 300_000
    assert sum(p.numel() for p in network.feature_map.parameters()) == 221_536


def test_a_frame_stands_for_160_ms():
    network = MobileCrnn(KaldiMelSpec(), 3, width=0.125).eval()
    assert network.grid.hop_samples == network.min_samples == 16 * 320
    for samples, frames in ((160_000, 32), (5_120, 1), (5_121, 2)):
        assert network.frames(samples) == frames
        assert network(torch.zeros(1, samples)).frame_logits.shape == (1, frames, 3)


def twins() -> tuple[MobileCrnn, EfficientAt]:
    """A student and a teacher of the smallest width; the first has the other's first layers."""
    torch.manual_seed(0)
    teacher = EfficientAt(KaldiMelSpec(), 5, width=0.125).eval()
    student = MobileCrnn(KaldiMelSpec(), 3, width=0.125).eval()
    own = student.state_dict()
    student.load_state_dict(
        {**own, **{k: v for k, v in teacher.state_dict().items() if k.startswith("feature_map") and k in own}}
    )
    return student, teacher


def test_all_names_of_the_trunk_are_the_teachers():
    student, teacher = (network.feature_map.state_dict() for network in twins())
    assert set(student) <= set(teacher)
    assert all(torch.equal(value, teacher[name]) for name, value in student.items())


def test_the_last_stride_leaves_out_no_frames():
    """Where the teacher filters every second frame the student filters all, and finds the teacher's among them."""
    student, teacher = twins()
    sound = 0.1 * torch.randn(1, 64_000, generator=torch.Generator().manual_seed(1))
    x = student.features(sound)[:, None]
    with torch.inference_mode():
        before = teacher.feature_map[:RESIDUALS](x)
        x = student.feature_map[:RESIDUALS](x)
        assert torch.equal(x, before)
        fine, coarse = (network.feature_map[RESIDUALS].block[:2](x) for network in (student, teacher))
    assert fine.shape[3] == x.shape[3]
    torch.testing.assert_close(fine[..., ::2], coarse, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("n_mels", [128, 96, 64])
def test_neighbours_in_frequency_are_averaged_where_they_are_pairs(n_mels):
    """128 and 64 mels are 4 and 2 after five strides, 96 are 3."""
    network = MobileCrnn(KaldiMelSpec(n_mels=n_mels), 2, width=0.125)
    bands = {128: 2, 96: 3, 64: 1}[n_mels]
    assert network.gru.input_size == bands * 24
    assert isinstance(network.narrow, nn.AvgPool2d if n_mels != 96 else nn.Identity)
    assert network(torch.zeros(2, 32_000)).clip_logits.shape == (2, 2)
