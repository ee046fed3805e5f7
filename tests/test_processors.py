# SPDX-License-Identifier: Apache-2.0
"""How many processors this process may use."""

from __future__ import annotations

import os

import pytest

from auricle.processors import usable_processors


def test_a_process_that_is_held_to_one_processor_has_one():
    allowed = os.sched_getaffinity(0)
    assert usable_processors() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_processors() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("count", "expected"), [(8, 8), (None, 1)])
def test_elsewhere_the_machine_is_asked(monkeypatch, count, expected):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert usable_processors() == expected
