# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from auricle.data.labels import is_negative, look_alikes, natural_key, parse_labels, separate_negatives, task_of


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("dog", ("dog",)),
        (" dog ; cat ;dog;", ("cat", "dog")),
        ("", ()),
        (" ; ", ()),
        ("NA", ("NA",)),
        ("null;None;nan", ("None", "nan", "null")),
        ("007;7", ("007", "7")),
        ("=cmd()", ("=cmd()",)),
        ("dog, barking", ("dog, barking",)),
    ],
)
def test_labels_stay_text(cell, labels):
    assert parse_labels(cell) == labels


@pytest.mark.parametrize("label", ["other", "Other", "BACKGROUND", "_negative_"])
def test_negatives_in_any_case(label):
    assert is_negative(label)
    assert separate_negatives((label,)) == ((), True)


@pytest.mark.parametrize("label", ["another", "negative", "backgrounds", ""])
def test_what_only_looks_like_a_negative(label):
    assert not is_negative(label)


def test_a_negative_beside_a_class_contradicts_itself():
    with pytest.raises(ValueError, match=r"'other' means no class and cannot stand beside 'dog'; keep one of them"):
        separate_negatives(("dog", "other"))


def test_task_is_single_until_a_clip_has_two_labels():
    assert task_of([("a",), (), ("b",)]) == "single"
    assert task_of([("a",), ("a", "b")]) == "multi"


def test_look_alikes_differ_in_case_space_or_unicode_form():
    names = ["Dog", "dog", "caf\u00e9", "cafe\u0301", "sea  waves", "Sea waves", "cat"]
    assert look_alikes(names) == [("Dog", "dog"), ("Sea waves", "sea  waves"), ("cafe\u0301", "caf\u00e9")]


def test_natural_order_counts():
    assert sorted(["10", "9", "a2", "a10", "1"], key=natural_key) == ["1", "9", "10", "a2", "a10"]
