# SPDX-License-Identifier: Apache-2.0
"""EfficientAT: the sizes that were published, checkpoints strictly by key, and the figures of the real weights."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from auricle.audio.decode import read_audio
from auricle.errors import UsageError
from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
from auricle.nn.modules.efficientat import (
    EfficientAt,
    SlowNorm,
    divisible,
    from_checkpoint,
    load_checkpoint,
    to_checkpoint,
)


@pytest.mark.parametrize(("width", "millions"), [(0.4, 0.98), (0.5, 1.43), (1.0, 4.88), (2.0, 17.91)])
def test_the_published_sizes(width, millions):
    with torch.device("meta"):
        network = EfficientAt(KaldiMelSpec(), 527, width=width)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


def test_channels_are_multiples_of_eight_and_never_a_tenth_too_few():
    for channels in range(1, 1_000):
        assert divisible(channels) % 8 == 0
        assert divisible(channels) >= 0.9 * channels


def test_statistics_are_the_mean_of_the_first_hundred_batches_and_move_slowly_after():
    torch.manual_seed(0)
    batches = torch.randn(150, 4, 2, 3, 5) + torch.arange(150.0)[:, None, None, None, None]
    means = batches.mean((1, 3, 4))
    norm = SlowNorm(2).train()
    for batch in batches[:100]:
        norm(batch)
    torch.testing.assert_close(norm.running_mean, means[:100].mean(0))
    published = torch.nn.BatchNorm2d(2, momentum=0.01)
    published.load_state_dict(norm.state_dict())
    for batch in batches[100:]:
        assert torch.equal(norm(batch), published(batch))
    for name, value in published.state_dict().items():
        assert torch.equal(norm.state_dict()[name], value), name
    before = norm.running_mean.clone()
    norm.eval()(batches[0])
    assert torch.equal(norm.running_mean, before)


def test_a_step_of_the_map_stands_for_32_frames():
    network = EfficientAt(KaldiMelSpec(), 3, width=0.1)
    assert network.grid.hop_samples == network.min_samples == 32 * 320
    shape = network.feature_map(network.features(torch.zeros(1, 320_000))[:, None]).shape
    assert shape == (1, network.embedding_size, 4, 32)


@pytest.fixture
def checkpoint():
    """A small network and its weights under the published names."""
    torch.manual_seed(0)
    network = EfficientAt(KaldiMelSpec(), 5, width=0.2).eval()
    return network, to_checkpoint(network)


def test_a_checkpoint_brings_its_width_and_its_scores(checkpoint, tmp_path):
    network, weights = checkpoint
    assert {"features.0.0.weight", "features.4.block.2.conc_se_layers.0.fc1.weight", "classifier.5.bias"} <= set(
        weights
    )
    torch.save(weights, tmp_path / "mn.pt")
    other = load_checkpoint(tmp_path / "mn.pt")
    waveform = torch.randn(2, 32_000, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        assert torch.equal(other(waveform).clip_logits, network(waveform).clip_logits)


def test_a_missing_tensor_is_named(checkpoint):
    weights = checkpoint[1]
    del weights["features.3.block.0.0.weight"]
    with pytest.raises(
        UsageError, match=r"of another architecture \(width 0\.2\): .*feature_map\.3\.block\.0\.0\.weight"
    ):
        from_checkpoint(weights)


def test_other_weights_are_refused():
    with pytest.raises(UsageError) as caught:
        from_checkpoint({"conv.weight": torch.zeros(1)})
    assert str(caught.value) == (
        "these weights are no EfficientAT checkpoint: no features.0.0.weight and classifier.2.weight among 1 tensors, "
        "the first is conv.weight; take one of the mn*_as checkpoints"
    )


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "mn.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match=r"mn\.pt holds no plain tensors .*a checkpoint is a table of tensors"):
        load_checkpoint(tmp_path / "mn.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UsageError, match=r"list\.pt holds no plain tensors \(found list\)"):
        load_checkpoint(tmp_path / "list.pt")
    with pytest.raises(UsageError, match=r"no\.pt: no such file"):
        load_checkpoint(tmp_path / "no.pt")


#: AudioSet's classes, by index, that stand for each class of ESC-10.
ESC10 = {
    "chainsaw": (347,),
    "clock_tick": (406, 407, 408),
    "crackling_fire": (298, 299),
    "crying_baby": (22, 23),
    "dog": (74, 75),
    "helicopter": (339,),
    "rain": (289, 290, 291),
    "rooster": (99, 101),
    "sea_waves": (294, 295),
    "sneezing": (49,),
}


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_weights_name_the_classes_of_esc10(shared):
    """As its original code: 385 of 400 clips by the best of the matching AudioSet classes."""
    network = load_checkpoint(shared / "models/mn04_as_mAP_432.pt")
    with (shared / "data/esc10/esc10.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = 0
    for row in rows:
        samples = read_audio(shared / "data/esc10" / row["filename"], sample_rate=32_000).samples
        with torch.inference_mode():
            logits = network(torch.from_numpy(np.array(samples))[None]).clip_logits[0]
        right += max(ESC10, key=lambda name: float(logits[list(ESC10[name])].max())) == row["category"]
    assert right == 385
