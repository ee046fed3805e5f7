# SPDX-License-Identifier: Apache-2.0
"""Groups of classes by AudioSet's ontology: names become labels of the model, in its order."""

from __future__ import annotations

import pytest
from helpers.tinybundle import make_bundle

from auricle.errors import UsageError
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.class_groups import ancestors, classes_of, read_parents


@pytest.fixture(scope="module")
def spec():
    return load_bundle(resolve_model("general")).spec


def test_every_class_of_general_has_a_place(spec):
    parents = read_parents()
    assert set(spec.label_ids.values()) == {name for name in parents if name.startswith("/")}
    roots = {ancestors(identifier)[-1] for identifier in spec.label_ids.values()}
    assert {spec.label_ids["Animal"], spec.label_ids["Music"]} <= roots
    assert roots - {spec.label_ids["Animal"], spec.label_ids["Music"]} == {
        "Human sounds", "Natural sounds", "Sounds of things", "Source-ambiguous sounds",
        "Channel, environment and background",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["Dog"], ["Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)"]),
        (["chicken, rooster"], ["Chicken, rooster", "Cluck", "Crowing, cock-a-doodle-doo"]),
        (["Owl,Silence", "Digestive"], [
            "Chewing, mastication", "Biting", "Gargling", "Stomach rumble", "Burping, eructation", "Hiccup", "Fart",
            "Owl", "Hoot", "Silence",
        ]),
    ],
)  # fmt: skip
def test_a_name_is_its_class_and_all_below_it(spec, names, labels):
    assert list(classes_of(names, spec)) == labels


def test_groups_hold_groups(spec):
    animals = classes_of(["Animal"], spec)
    assert len(animals) == 65
    assert {"Animal", "Bird", "Hoot", "Buzz", "Whale vocalization"} <= set(animals)
    assert not {"Speech", "Music"} & set(animals)
    tops = ["Human sounds", "Animal", "Music", "Natural sounds", "Sounds of things", "Source-ambiguous sounds"]
    assert classes_of([*tops, "Channel, environment and background"], spec) == spec.labels


def test_a_name_that_is_neither_is_an_error(spec, tmp_path):
    with pytest.raises(UsageError, match=r"--classes: general has no class or group 'Animel' \(did you mean 'Animal'"):
        classes_of(["Animel"], spec)
    tiny = make_bundle(tmp_path / "tiny").spec
    assert classes_of(["LOUD"], tiny) == ("loud",)
    with pytest.raises(UsageError, match="tiny has no class or group 'Animal'"):
        classes_of(["Animal"], tiny)
