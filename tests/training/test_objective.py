# SPDX-License-Identifier: Apache-2.0
"""What a step computes: mixing, masks, loss, in this order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.toydata import tiny

from auricle.batches.augment.crop import level_weights
from auricle.batches.sampling import Mixup
from auricle.batches.targets import Batch, ClipBatch, ClipTargets, ClipTask
from auricle.nn.losses import clip_losses, total_loss
from auricle.nn.networks import build_network
from auricle.recipe.schema import load_recipe
from auricle.training.objective import Objective
from auricle.training.objective import mix as mix_sources

TASK = ClipTask("multi", negatives=False)
LABELS = ClipTargets(np.zeros((0, 2), np.float32), TASK)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(tiny("model.dropout=0"), 2).eval()


def make_batch(inputs: torch.Tensor, masks: torch.Tensor | None = None) -> Batch:
    size = len(inputs)
    if masks is None:
        masks = torch.zeros(size, 2, 0, 2)
    return Batch(
        inputs,
        masks,
        torch.zeros(size, 0),
        torch.ones(size),
        torch.arange(size),
        {"clip": ClipBatch(torch.eye(size, 2))},
    )


def mix(batch: Batch, mixture: Mixup, **options) -> Batch:
    return mix_sources(batch, mixture, [LABELS], **options)


def objective(network, task: ClipTask = TASK, *, is_logmel: bool = False) -> Objective:
    return Objective(network, {"clip": ClipTargets(LABELS.labels, task).loss(1)}, is_logmel=is_logmel)


def labels_of(batch: Batch) -> torch.Tensor:
    return batch.targets["clip"].labels


def mixture(partner: list[int], share: list[float]) -> Mixup:
    return Mixup(np.arange(1 + max(partner)), np.array(partner), np.array(share, np.float32))


def loss_of(network, features, targets) -> torch.Tensor:
    output = network.classify(features)
    return total_loss(clip_losses(output, targets, torch.ones(len(targets)), task="multi", negatives=False))


def noise(seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(2, 4_000, generator=torch.Generator().manual_seed(seed))


def test_without_mixing_it_is_the_loss_of_the_batch(network):
    batch = make_batch(noise())
    parts = objective(network)(mix(batch, mixture([1, 0], [1.0, 1.0])))
    torch.testing.assert_close(parts["loss"], loss_of(network, network.features(batch.inputs), labels_of(batch)))


def test_items_and_targets_are_mixed_by_the_same_share(network):
    batch = make_batch(noise())
    parts = objective(network)(mix(batch, mixture([1, 0], [0.75, 1.0])))
    mixed = torch.stack([0.75 * batch.inputs[0] + 0.25 * batch.inputs[1], batch.inputs[1]])
    targets = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
    torch.testing.assert_close(parts["loss"], loss_of(network, network.features(mixed), targets))


def test_partners_that_belong_to_another_process_lie_behind(network):
    batch = make_batch(torch.stack([noise()[0], noise()[1], noise(1)[0]]))
    mixed = mix(batch, mixture([2, 1], [0.5, 1.0]))
    torch.testing.assert_close(mixed.inputs[0], (batch.inputs[0] + batch.inputs[2]) / 2)
    assert torch.equal(mixed.inputs[1], batch.inputs[1])
    assert labels_of(mixed).tolist() == [[0.5, 0.0], [0.0, 1.0]]  # the third item has no class
    assert mixed.clips.tolist() == [0, 1]
    assert {len(part) for part in [*mixed[:-1], *mixed.targets["clip"]]} == {2}


def test_waveforms_are_mixed_by_loudness_and_log_mels_as_they_are(network):
    batch = make_batch(noise() * torch.tensor([[1.0], [0.01]]))
    half = mixture([1, 0], [0.5, 0.5])
    mixed = mix(batch, half, by_level=True)
    first, second = level_weights(batch.inputs, batch.inputs.flip(0), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(mixed.inputs, first * batch.inputs + second * batch.inputs.flip(0))
    assert labels_of(mixed).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    features = make_batch(network.features(batch.inputs))
    assert torch.equal(mix(features, half, by_level=True).inputs, mix(features, half).inputs)


@pytest.mark.parametrize("name", ["crnn", "efficientat"])
def test_a_response_is_what_a_filter_before_the_front_end_does(name):
    network = build_network(load_recipe(None, [], base={"model": {"name": name}}), 2).eval()
    sound = 10 * noise().repeat(1, 8)  # far above what is added to powers
    louder = objective(network)
    batch = make_batch(sound)._replace(equalisers=torch.full((2, 5), 20.0))
    by_response = louder._equalised(network.features(sound), batch)
    torch.testing.assert_close(by_response, network.features(10 * sound), atol=2e-3, rtol=0)


def test_masks_are_laid_over_the_features(network):
    masks = torch.tensor([[[[0.0, 0.5]], [[0.0, 0.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    batch = make_batch(noise(), masks)
    parts = objective(network)(batch)
    features = network.features(batch.inputs)
    features[0, :, :25] = features[0].mean()
    torch.testing.assert_close(parts["loss"], loss_of(network, features, labels_of(batch)))


def test_stored_log_mels_go_past_the_front_end(network):
    features = network.features(noise())
    parts = objective(network, is_logmel=True)(make_batch(features))
    torch.testing.assert_close(parts["loss"], loss_of(network, features, torch.eye(2)))


@pytest.mark.parametrize("task", [ClipTask("single", negatives=True, temperature=2.0), TASK])
def test_the_task_says_how_scores_are_meant(network, task):
    batch = make_batch(noise())
    parts = objective(network, task)(batch)
    output = network(batch.inputs)
    expected = clip_losses(
        output,
        labels_of(batch),
        batch.weights,
        task=task.task,
        negatives=task.negatives,
        temperature=task.temperature,
    )
    torch.testing.assert_close(parts["loss"], total_loss(expected))


def test_losses_of_all_sources_are_added_and_named(network):
    class Constant(torch.nn.Module):
        def __init__(self, **parts: float) -> None:
            super().__init__()
            self.parts = parts

        def forward(self, output, batch):
            return {name: torch.tensor(value) for name, value in self.parts.items()}

    batch = make_batch(noise())
    losses = {"a": Constant(one=1.0, two=2.0), "none": Constant(), "b": Constant(four=4.0)}
    parts = Objective(network, losses, is_logmel=False)(batch)
    assert {name: value.item() for name, value in parts.items()} == {"loss": 7.0, "one": 1.0, "two": 2.0, "four": 4.0}
