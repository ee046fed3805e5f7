# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.errors import DataError
from auricle.evaluation.spoof.intervals import Trials
from auricle.evaluation.spoof.score_files import read_scores, read_verifier_scores, write_scores

TRIALS = Trials(("a", "b", "c"), ("p", "p", "q"), ("-", "-", "A07"), np.array([True, True, False]))


def test_the_written_form_is_that_of_asvspoof_2019(tmp_path):
    write_scores(tmp_path / "s.txt", TRIALS, [1.5, -2, 1 / 3])
    assert (tmp_path / "s.txt").read_text() == "a - bonafide 1.5\nb - bonafide -2\nc A07 spoof 0.333333333\n"
    np.testing.assert_allclose(read_scores(tmp_path / "s.txt", TRIALS), [1.5, -2, 1 / 3], rtol=1e-8)


def test_the_written_form_of_asvspoof_5(tmp_path):
    write_scores(tmp_path / "s.tsv", TRIALS, [1.5, -2, 4])
    assert (tmp_path / "s.tsv").read_text() == "filename\tcm-score\na\t1.5\nb\t-2\nc\t4\n"
    assert read_scores(tmp_path / "s.tsv", TRIALS).tolist() == [1.5, -2, 4]


def test_the_order_of_lines_does_not_matter_and_2021_is_read(tmp_path):
    (tmp_path / "s.txt").write_text("c 3\n\na 1\nb 2e0\n")
    assert read_scores(tmp_path / "s.txt", TRIALS).tolist() == [1, 2, 3]


def test_all_problems_are_reported(tmp_path):
    (tmp_path / "s.txt").write_text("a - spoof 1\na 1 2\nb nan\nz 1\ny 2\nc 1\nc 1\n")
    with pytest.raises(DataError, match=r"s\.txt does not fit the protocol") as caught:
        read_scores(tmp_path / "s.txt", TRIALS)
    assert caught.value.problems == (
        "line 1: a is called spoof, the protocol says bonafide",
        "line 2: 3 fields, expected UTTERANCE SCORE, or UTTERANCE SYSTEM KEY SCORE",
        "line 3: the score 'nan' is no finite number",
        "line 7: c has a score already",
        "2 recordings have no score: a, b",
        "2 scores are of recordings that are not in the protocol: z, y",
    )


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt cannot be read"):
        read_scores(tmp_path / "gone.txt", TRIALS)


def test_scores_of_a_verifier(tmp_path):
    (tmp_path / "asv.txt").write_text("p target 2\np nontarget -1\nq spoof 0.5\np target 3\n")
    found = read_verifier_scores(tmp_path / "asv.txt")
    assert {key: values.tolist() for key, values in found.items()} == {
        "target": [2, 3],
        "nontarget": [-1],
        "spoof": [0.5],
    }
    (tmp_path / "bad.txt").write_text("p target 2\np impostor 3\n1 2\n")
    with pytest.raises(DataError, match=r"bad\.txt is no score file of a verifier") as caught:
        read_verifier_scores(tmp_path / "bad.txt")
    assert caught.value.problems == (
        "line 2: key 'impostor' is none of target, nontarget, spoof",
        "line 3: 2 fields, expected SPEAKER KEY SCORE",
        "there is no nontarget score",
        "there is no spoof score",
    )
