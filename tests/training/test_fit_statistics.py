# SPDX-License-Identifier: Apache-2.0
"""Fitting the clip-statistics branch: what it is fitted on, when it is not, and that a run keeps it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.toydata import TINY, tiny, write_folders
from safetensors.torch import load_file

from auricle import api
from auricle.batches.crops import scoring_windows
from auricle.nn.networks import build_network
from auricle.progress import Progress
from auricle.training.fit_statistics import fit_clip_statistics
from auricle.training.preparation import prepare, read_training_data


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("texturing") / "clips")


@pytest.fixture(scope="module")
def clips_and_others(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("texturing") / "clips", labels=("low", "high", "other"))


def fit(folder, *overrides, train=None):
    """Return a network with its expert fitted, the data, and whether it was fitted."""
    recipe = tiny("model.texture=true", *overrides)
    material = prepare(read_training_data(folder, recipe), recipe, Progress())
    torch.manual_seed(0)
    network = build_network(material.recipe, len(material.manifest.labels)).eval()
    chosen = np.arange(len(material.manifest.clips)) if train is None else np.asarray(train)
    return network, material, fit_clip_statistics(network, material, chosen)


def own_logits(network, material) -> torch.Tensor:
    """Return what the expert says of each clip."""
    read = (scoring_windows(material.reader.read(c), material.recipe, material.reader) for c in material.manifest.clips)
    return torch.cat([network.texture.logits(network.features(torch.from_numpy(windows[:1]))) for windows in read])


def test_it_tells_the_clips_that_it_was_fitted_on_apart(clips):
    network, material, done = fit(clips)
    assert done
    assert network.texture.share == 0.75
    assert np.array_equal(own_logits(network, material).argmax(1), material.targets.argmax(1))


def test_negatives_are_none_of_the_classes(clips_and_others):
    """The logit of "none" is 0: of a negative all others are below it."""
    network, material, done = fit(clips_and_others)
    assert done
    assert material.target.negatives
    logits, labelled = own_logits(network, material), material.targets.any(1)
    assert (logits[~labelled] < 0).all()
    assert (logits[labelled].amax(1) > 0).all()


def test_several_labels_have_a_score_each_and_half_the_sum(clips):
    network, material, done = fit(clips, "task=multi")
    assert done
    assert network.texture.share == 0.5
    assert torch.equal(own_logits(network, material) > 0, torch.from_numpy(material.targets > 0.5))


def test_only_training_clips_are_heard(clips):
    """Other clips may sound as they like: the weights are the same to the bit."""
    _, material, _ = fit(clips)
    train = [i for i in range(len(material.manifest.clips)) if i % 2]
    one, _, _ = fit(clips, train=train)
    material.targets[::2] = 1 - material.targets[::2]
    other = build_network(material.recipe, 2).eval()
    assert fit_clip_statistics(other, material, np.asarray(train))
    for name, value in one.texture.state_dict().items():
        assert torch.equal(value, other.texture.state_dict()[name])


def test_a_class_without_a_clip_leaves_it_unfitted(clips):
    _, material, _ = fit(clips)
    one_class = np.flatnonzero(material.targets[:, 0])
    network, _, done = fit(clips, train=one_class)
    assert not done
    assert not network.texture.weight.any()
    assert network.texture.share == 1


@pytest.mark.parametrize("settings", [("model.causal=true",), ("model.texture=false",)])
def test_a_network_without_one_is_left_alone(clips, settings):
    network, _, done = fit(clips, *settings)
    assert network.texture is None
    assert not done


def test_a_run_keeps_it_to_the_end(clips, tmp_path):
    """Neither the optimiser nor the average of the weights moves it."""
    api.train(clips, out=tmp_path / "m", overrides=[*TINY, "model.texture=true", "data.dev=none", "optim.epochs=1"])
    trained = load_file(tmp_path / "m/model.safetensors")
    expected, _, _ = fit(clips)
    for name, value in expected.texture.state_dict().items():
        torch.testing.assert_close(trained[f"texture.{name}"], value, atol=1e-6, rtol=1e-6)
