# SPDX-License-Identifier: Apache-2.0
"""What a step computes: mixing, masks, loss, in this order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.toydata import tiny

from auricle.batches.augment.crop import level_shares
from auricle.batches.crops import Batch, untimed
from auricle.batches.sampling import Mixture
from auricle.distill.targets import TeacherBatch, no_teacher
from auricle.nn.losses import training_loss
from auricle.nn.networks import build_network, recipe_base
from auricle.recipe.schema import load_recipe
from auricle.training.objective import Objective, Target, mix

TARGET = Target("multi", negatives=False)


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
        torch.eye(size, 2),
        torch.ones(size),
        torch.arange(size),
        no_teacher(size),
        untimed(size),
    )


def mixture(partner: list[int], share: list[float]) -> Mixture:
    return Mixture(np.arange(1 + max(partner)), np.array(partner), np.array(share, np.float32))


def loss_of(network, features, targets) -> torch.Tensor:
    return training_loss(network.classify(features), targets, torch.ones(len(targets)), task="multi", negatives=False)[
        "loss"
    ]


def noise(seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(2, 4_000, generator=torch.Generator().manual_seed(seed))


def test_without_mixing_it_is_the_loss_of_the_batch(network):
    batch = make_batch(noise())
    parts = Objective(network, TARGET, is_logmel=False)(mix(batch, mixture([1, 0], [1.0, 1.0])))
    torch.testing.assert_close(parts["loss"], loss_of(network, network.features(batch.inputs), batch.targets))


def test_items_and_targets_are_mixed_by_the_same_share(network):
    batch = make_batch(noise())
    parts = Objective(network, TARGET, is_logmel=False)(mix(batch, mixture([1, 0], [0.75, 1.0])))
    mixed = torch.stack([0.75 * batch.inputs[0] + 0.25 * batch.inputs[1], batch.inputs[1]])
    targets = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
    torch.testing.assert_close(parts["loss"], loss_of(network, network.features(mixed), targets))


def test_partners_that_belong_to_another_process_lie_behind(network):
    batch = make_batch(torch.stack([noise()[0], noise()[1], noise(1)[0]]))
    mixed = mix(batch, mixture([2, 1], [0.5, 1.0]))
    torch.testing.assert_close(mixed.inputs[0], (batch.inputs[0] + batch.inputs[2]) / 2)
    assert torch.equal(mixed.inputs[1], batch.inputs[1])
    assert mixed.targets.tolist() == [[0.5, 0.0], [0.0, 1.0]]  # the third item has no class
    assert mixed.clips.tolist() == [0, 1]
    assert {len(part) for part in [*mixed[:-2], *mixed.taught, *mixed.timed]} == {2}


def test_waveforms_are_mixed_by_loudness_and_log_mels_as_they_are(network):
    batch = make_batch(noise() * torch.tensor([[1.0], [0.01]]))
    half = mixture([1, 0], [0.5, 0.5])
    mixed = mix(batch, half, by_level=True)
    first, second = level_shares(batch.inputs, batch.inputs.flip(0), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(mixed.inputs, first * batch.inputs + second * batch.inputs.flip(0))
    assert mixed.targets.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    features = make_batch(network.features(batch.inputs))
    assert torch.equal(mix(features, half, by_level=True).inputs, mix(features, half).inputs)


@pytest.mark.parametrize("name", ["crnn", "efficientat"])
def test_a_response_is_what_a_filter_before_the_front_end_does(name):
    network = build_network(load_recipe(None, [], base=recipe_base(name)), 2).eval()
    sound = 10 * noise().repeat(1, 8)  # far above what is added to powers
    louder = Objective(network, TARGET, is_logmel=False)
    batch = make_batch(sound)._replace(equalisers=torch.full((2, 5), 20.0))
    by_response = louder._equalised(network.features(sound), batch)
    torch.testing.assert_close(by_response, network.features(10 * sound), atol=2e-3, rtol=0)


def test_masks_are_laid_over_the_features(network):
    masks = torch.tensor([[[[0.0, 0.5]], [[0.0, 0.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    batch = make_batch(noise(), masks)
    parts = Objective(network, TARGET, is_logmel=False)(batch)
    features = network.features(batch.inputs)
    features[0, :, :25] = features[0].mean()
    torch.testing.assert_close(parts["loss"], loss_of(network, features, batch.targets))


def test_stored_log_mels_go_past_the_front_end(network):
    features = network.features(noise())
    parts = Objective(network, TARGET, is_logmel=True)(make_batch(features))
    torch.testing.assert_close(parts["loss"], loss_of(network, features, torch.eye(2)))


@pytest.mark.parametrize("target", [Target("single", negatives=True, temperature=2.0), TARGET])
def test_the_target_says_how_scores_are_meant(network, target):
    batch = make_batch(noise())
    parts = Objective(network, target, is_logmel=False)(batch)
    output = network(batch.inputs)
    expected = training_loss(
        output,
        batch.targets,
        batch.weights,
        task=target.task,
        negatives=target.negatives,
        temperature=target.temperature,
    )
    torch.testing.assert_close(parts["loss"], expected["loss"])


def test_what_a_teacher_says_is_mixed_too_and_unheard_where_a_partner_was(network):
    batch = make_batch(torch.stack([noise()[0], noise()[1], noise(1)[0]]))
    said = torch.tensor([[1.0], [0.0], [0.5]])
    batch = batch._replace(taught=TeacherBatch(said, 2 * said, said[:, None], torch.tensor([1.0, 1.0, 0.0])))
    taught = mix(batch, mixture([1, 2, 0], [0.75, 0.75, 1.0])).taught
    assert taught.scores[:, 0].tolist() == [0.75, 0.125, 0.5]
    assert taught.embedding[:, 0].tolist() == [1.5, 0.25, 1.0]
    assert taught.windows[:, 0, 0].tolist() == [0.75, 0.125, 0.5]
    assert taught.heard.tolist() == [1, 0, 0]
