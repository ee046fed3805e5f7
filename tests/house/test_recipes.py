# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped parses, and a wrong one would not."""

from __future__ import annotations

from pathlib import Path

import pytest

from auricle.config import load_recipe
from auricle.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def test_there_are_recipes_and_the_readme_lists_each():
    text = (RECIPES[0].parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in RECIPES if f"`{path.name}`" not in text] == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_parses_and_names_a_network_that_is_there(path):
    from auricle.nn.networks import NETWORKS

    assert load_recipe(path).model.name in NETWORKS


def test_a_recipe_with_an_unknown_key_is_seen(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(RECIPES[0].read_text(encoding="utf-8") + "epochs: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown key epochs"):
        load_recipe(path)
