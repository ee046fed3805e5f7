# SPDX-License-Identifier: Apache-2.0
"""RawNet2-lite: its parts by hand, and the literal shape of the seed."""

from __future__ import annotations

import re

import pytest
import torch

from auricle.errors import ConfigError, UsageError
from auricle.nn.modules.rawnet import FilterMask, ResidualBlock, StatePooling
from auricle.nn.networks import build_network
from auricle.recipe.schema import Recipe
from auricle.training.request_recipe import make_request_recipe


def recipe(*overrides: str) -> Recipe:
    return make_request_recipe("rawnet", None, overrides, None)


def test_a_block_of_zero_convolutions_hands_on_its_input():
    block = ResidualBlock(2, 2, 3, 2).eval()
    torch.nn.init.zeros_(block.conv1.weight)
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.tensor([[[1.0, 2, -3, 4], [-1, -2, 5, 0]]])
    torch.testing.assert_close(block(x), torch.tensor([[[2.0, 4], [0, 5]]]))  # ReLU, then the larger of two


def test_a_block_may_change_the_number_of_channels():
    assert ResidualBlock(2, 6, 5, 1)(torch.randn(3, 2, 11)).shape == (3, 6, 11)


def test_the_last_state_is_the_end_of_one_direction_and_the_beginning_of_the_other():
    gru = torch.nn.GRU(3, 4, batch_first=True, bidirectional=True)
    states, final = gru(torch.randn(2, 7, 3))
    pooled = StatePooling(8, "final_state")(states, final)
    torch.testing.assert_close(pooled, torch.cat([states[:, -1, :4], states[:, 0, 4:]], dim=1))


def test_attention_weighs_states():
    pooling = StatePooling(2, "state_attention")
    pooling.attention.weight.data = torch.tensor([[100.0, 0.0]])
    states = torch.tensor([[[0.0, 1], [5, 2], [1, 3]]])
    torch.testing.assert_close(
        pooling(states, states), torch.tensor([[5.0, 2]])
    )  # the one with the highest first value


def test_filters_are_masked_in_training_only_and_in_one_band():
    mask, x = FilterMask(5), torch.ones(200, 12, 3)
    assert torch.equal(mask.eval()(x), x)
    torch.manual_seed(0)
    blank = (mask.train()(x) == 0).all(2)
    assert set(blank.sum(1).tolist()) == set(range(6))
    steps = blank.int().diff(dim=1).abs().sum(1)
    assert steps.max() <= 2  # one band: it begins once and ends once
    assert blank[:, 0].any()
    assert blank[:, -1].any()
    assert torch.equal(FilterMask(0).train()(x), x)


def test_the_seed_taken_literally_walks_every_sample():
    literal = ["model.raw.kernel=3", "model.raw.stride=1", "model.raw.pools=[1, 1, 1]", "model.raw.rectify=none"]
    network = build_network(recipe(*literal, "model.raw.first=conv"), 2)
    assert network.min_samples == 1
    assert network.frames(64_600) == 64_600


def test_a_clip_shorter_than_a_step_is_refused():
    short = recipe("data.clip_s=0.001")
    with pytest.raises(
        UsageError, match=r"a clip of 16 samples \(0.001 s\) is shorter than one step .* lower model.raw"
    ):
        build_network(short, 2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.raw.kernel=4", r"model.raw.kernel 4 is below model.raw.stride \d+: samples would be skipped"),
        (
            "model.causal=true",
            "unknown key model.causal of network rawnet; known here: name, head, width, dropout",
        ),
        ("frontend.name=logmel", "frontend.name = .logmel.: network rawnet has waveform"),
        ("model.raw.filter_mask=900", r"model.raw.filter_mask 900 is above the \d+ filters there are"),
    ],
)
def test_shapes_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ConfigError) as caught:
        build_network(recipe(setting), 2)
    assert any(re.search(message, problem) for problem in caught.value.problems)


def test_pairs_must_be_joined():
    with pytest.raises(ConfigError) as caught:
        recipe("model.raw.first=fourier", "model.raw.rectify=none")
    assert "model.raw.first fourier makes pairs" in str(caught.value.problems)
