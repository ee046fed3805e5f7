# SPDX-License-Identifier: Apache-2.0
"""Every bad recording gets its one verdict, whole and by blocks."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.badfiles import CASES, BadFile

from auricle.audio.decode import open_audio, read_audio
from auricle.errors import FAILURE_CODES, FLAG_CODES, InputError


def verdict_of(path, **options):
    """Return (codes, audio): the failure's code with a mark, or the flags' codes."""
    try:
        audio = read_audio(path, **options)
    except InputError as error:
        return (f"{error.code}!",), None
    return tuple(flag.code for flag in audio.flags) or ("OK",), audio


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_verdict(case: BadFile, tmp_path):
    if case.id.startswith(("A51", "A52")):
        pytest.importorskip("av")
    path = case.write(tmp_path)
    expected = case.verdict
    is_flag = expected in FLAG_CODES or expected == "OK"
    codes, audio = verdict_of(path, **case.options)
    ignored = {"silent"} if case.id.startswith("sparse") and expected != "silent" else set()
    assert {code for code in codes if code not in ignored} == {expected if is_flag else f"{expected.rstrip('!')}!"}
    if audio is not None:
        assert audio.samples.dtype == np.float32
        assert np.isfinite(audio.samples).all()
        assert case.seconds is None or audio.duration == pytest.approx(case.seconds, abs=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_blocks_give_the_same_verdict_and_samples(case: BadFile, tmp_path):
    if case.id.startswith(("A51", "A52")):
        pytest.importorskip("av")
    path = case.write(tmp_path)
    codes, audio = verdict_of(path, **case.options)
    if audio is None:
        with pytest.raises(InputError) as caught, open_audio(path, block_s=0.3, **case.options) as reader:
            list(reader)
        assert (f"{caught.value.code}!",) == codes
        assert "\n" not in caught.value.message
        return
    with open_audio(path, block_s=0.3, **case.options) as reader:
        blocks = list(reader)
    assert reader.flags == audio.flags
    assert np.array_equal(np.concatenate(blocks), audio.samples)


def test_every_entry_of_the_register_has_a_case():
    elsewhere = {24, 42, 48, 50}  # 24 and 50 are about data sets, 42 and 48 have tests of their own
    numbers = {int(case.id.removeprefix("sparse ").split()[0][1:]) for case in CASES}
    assert numbers == set(range(1, 53)) - elsewhere
    assert {case.verdict.rstrip("!") for case in CASES} <= {"OK", *FLAG_CODES, *FAILURE_CODES}
