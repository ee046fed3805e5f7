# SPDX-License-Identifier: Apache-2.0
"""A thousand mutants of audio files; ``mutants_audio.py`` makes as many as one wants."""

from __future__ import annotations

import pytest
from mutants_audio import HANG_S, KINDS, STRICT, judge, originals

EACH = 84


@pytest.fixture(scope="module")
def files():
    return originals()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_read_or_refused_with_a_code(files, kind):
    tally = judge(kind, files[kind], EACH, seed=17)
    assert tally.failures == []
    assert tally.slowest_s < HANG_S
    assert tally.outcomes.total() == EACH
    assert tally.outcomes.total() - tally.outcomes["read"] >= EACH // 4, "most mutants are noticed"


def test_the_judge_sees_what_it_looks_for(files, monkeypatch):
    """Were no length compared with the file, mutants of WAV would lose sound in silence."""
    import mutants_audio

    honest = mutants_audio.frames_of
    monkeypatch.setattr(mutants_audio, "frames_of", lambda data: (honest(data)[0], set()))
    assert "wav" in STRICT
    assert any("lost in silence" in failure for failure in judge("wav", files["wav"], EACH, seed=17).failures)
