# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped parses, and a wrong one would not."""

from __future__ import annotations

from pathlib import Path

import pytest

from auricle.errors import ConfigError
from auricle.nn.networks import NETWORKS, build_network
from auricle.recipe.schema import load_recipe
from auricle.training.request_recipe import make_request_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def test_there_are_recipes_and_the_readme_lists_each():
    text = (RECIPES[0].parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in RECIPES if f"`{path.name}`" not in text] == []


def test_every_network_has_defaults_that_build_it():
    for name in NETWORKS:
        recipe = make_request_recipe(name, None, [], None)
        assert recipe.model.name == name
        assert make_request_recipe("crnn", None, [f"model.name={name}"], None) == recipe
        assert build_network(recipe, 2).min_samples > 0


def test_a_recipe_lies_over_the_defaults_of_the_network_that_it_names(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("model: {name: rawnet, raw: {hidden: 7}}\ndata: {batch_size: 5}\n", encoding="utf-8")
    mine = make_request_recipe("crnn", file, ["optim.epochs=3"], None)
    default = make_request_recipe("rawnet", None, [], None)
    assert (mine.model.raw.hidden, mine.data.batch_size, mine.optim.epochs) == (7, 5, 3)
    assert mine.data.pad == default.data.pad == "repeat"
    assert mine.model.raw.model_copy(update={"hidden": default.model.raw.hidden}) == default.model.raw


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_parses_and_names_a_network_that_is_there(path):
    assert build_network(make_request_recipe("crnn", path, [], None), 2).min_samples > 0


def test_a_recipe_with_an_unknown_key_is_seen(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(RECIPES[0].read_text(encoding="utf-8") + "epochs: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown key epochs"):
        load_recipe(path)
