# SPDX-License-Identifier: Apache-2.0
"""Label maps: read, and refused with every line that is wrong."""

from __future__ import annotations

import pytest

from auricle.errors import DataError
from auricle.teachers.label_map import read_label_map, same_names

TEACHER = ("Dog", "Bark", "Waves, surf", "Rain")


def test_a_map_joins_lines_of_a_class(tmp_path):
    (tmp_path / "map.csv").write_text('label,teacher\nsea,"waves, surf"\ndog,Dog\ndog,Bark\ndog,Dog\n')
    assert read_label_map(tmp_path / "map.csv", TEACHER) == {"dog": ("Dog", "Bark"), "sea": ("Waves, surf",)}


def test_every_unknown_class_is_named_with_the_nearest(tmp_path):
    (tmp_path / "map.csv").write_text("label,teacher\ndog,Dgo\nrain,Rain\ncat,Meowing\n")
    with pytest.raises(DataError) as caught:
        read_label_map(tmp_path / "map.csv", TEACHER)
    assert str(caught.value).splitlines() == [
        "map.csv cannot be used as a label map",
        "  - line 2: 'Dgo' is no class of the teacher (did you mean 'Dog'?)",
        "  - line 4: 'Meowing' is no class of the teacher",
    ]


def test_columns_are_needed(tmp_path):
    (tmp_path / "map.csv").write_text("mine,teacher\ndog,Dog\n")
    with pytest.raises(DataError, match=r"no column 'label'; found: 'mine', 'teacher'"):
        read_label_map(tmp_path / "map.csv", TEACHER)


def test_same_names():
    assert same_names(("dog", "RAIN"), TEACHER) == {"dog": ("Dog",), "RAIN": ("Rain",)}
    assert same_names(("dog", "cat"), TEACHER) is None
