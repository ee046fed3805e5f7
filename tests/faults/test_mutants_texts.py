# SPDX-License-Identifier: Apache-2.0
"""A thousand mutants of tables, label files, recipes, model folders and journals."""

from __future__ import annotations

import pytest
from mutants_texts import HANG_S, KINDS, judge

EACH = 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_read_or_refused_with_a_reason(kind, tmp_path):
    tally = judge(kind, EACH, 17, tmp_path)
    assert tally.failures == []
    assert tally.slowest_s < HANG_S
    assert tally.outcomes.total() == EACH
    assert tally.outcomes["refused"] >= EACH // 10 or kind == "records", "a torn record is dropped, all else is said"
