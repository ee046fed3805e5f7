# SPDX-License-Identifier: Apache-2.0
"""The cards of the built-in models: the head that the Hugging Face hub reads says what the table below it says."""

from __future__ import annotations

import re

import pytest
import yaml

from auricle.runtime.bundle import load_bundle
from auricle.runtime.model_names import BUNDLES

CARDS = sorted(BUNDLES.glob("*/README.md"))


def test_every_built_in_model_has_a_card():
    assert [path.parent.name for path in CARDS] == sorted(path.parent.name for path in BUNDLES.glob("*/auricle.json"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_the_head_of_a_card_is_that_of_its_model(path):
    spec = load_bundle(path.parent).spec  # compares the hashes
    nothing, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    front = yaml.safe_load(head)
    assert nothing == ""
    assert front["library_name"] == "auricle"
    assert front["pipeline_tag"] == "audio-classification"
    assert spec.model.name in front["tags"]
    assert body.startswith(f"\n# {spec.name}\n")
    rows = re.findall(
        r"^\| test, (?:scored once|looked at several times on the way) \| (\w+) \| (\S+) \| .* \| (\d+) \|$", body, re.M
    )
    (entry,) = front["model-index"]
    (result,) = entry["results"]
    said = [(m["type"], m["value"], m["name"].rpartition(" ")[2]) for m in result["metrics"]]
    assert said == [(name, pytest.approx(float(value), rel=1e-3), n) for name, value, n in rows]
    assert len(said) >= 2
