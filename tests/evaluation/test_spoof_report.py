# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from auricle import api
from auricle.cli.report_output import print_report
from auricle.data.manifest import Clip, Manifest
from auricle.errors import DataError, UsageError
from auricle.evaluation.evaluate import choose_clips
from auricle.evaluation.spoof.evaluate import ScoreFiles, evaluate_spoof
from auricle.evaluation.spoof.report import Extras, spoof_report, trials_of
from auricle.evaluation.spoof.score_files import write_scores


def clip(name: str, speaker: str, system: str | None, split: str = "test") -> Clip:
    key = "bonafide" if system == "-" else "spoof"
    extra = {} if system is None else {"system": system}
    return Clip(f"flac/{name}.flac", name, (key,), split=split, group=speaker, extra=extra)


def manifest_of(*clips: Clip) -> Manifest:
    return Manifest(Path("corpus"), "asvspoof", "single", ("bonafide", "spoof"), clips)


@pytest.fixture
def corpus() -> Manifest:
    """Three people and two synthesisers: the first is told apart perfectly, the second half of the time."""
    people = [clip(f"h{s}{k}", f"human{s}", "-") for s in range(3) for k in range(2)]
    first = [clip(f"x{k}", f"voice{k}", "A01") for k in range(4)]
    second = [clip(f"y{k}", f"voice{4 + k}", "A02") for k in range(4)]
    return manifest_of(*people, *first, *second, clip("t", "other", "A01", "train"))


SCORES = np.array([2.0] * 6 + [-2.0] * 4 + [-2.0, -2, 3, 3])


def test_figures_by_system_and_for_what_was_never_heard(corpus):
    part = choose_clips(corpus, split="test", fold=None)
    report = spoof_report(trials_of(part), SCORES, part, Extras(seen=("A01",), flags={"clipped": 3}))
    # Accepting from 2 on: no miss; 2 of 8 accepted, from 3 on all people are missed: 1/4 on the line between.
    assert report.metrics["eer"].value == pytest.approx(0.25)
    details = report.details
    assert details["per_system"]["A01"]["metrics"]["eer"]["value"] == 0
    # (miss, alarm) from (0, 1/2) to (1, 1/2): they meet at a half.
    assert details["per_system"]["A02"]["metrics"]["eer"]["value"] == pytest.approx(0.5)
    assert (details["seen"]["systems"], details["seen"]["n"], details["seen"]["speakers"]) == (["A01"], 4, 4)
    assert details["unseen"]["metrics"] == details["per_system"]["A02"]["metrics"]
    stream = io.StringIO()
    print_report(report, "table", stream)
    lines = stream.getvalue().splitlines()
    assert lines[0].split()[:4] == ["spoofed", "by", "n", "speakers"]
    assert lines[4].startswith("A01 (seen)      4         4  0.0 [0.0, 0.0]")
    assert lines[7].startswith("against 6 bona fide recordings of 3 speakers; intervals over speakers; min Cllr 0.")
    assert lines[8] == "flag clipped: 3 of 14 recordings"


def test_without_provenance_nothing_is_called_unseen(corpus):
    part = choose_clips(corpus, split="test", fold=None)
    details = spoof_report(trials_of(part), SCORES, part).details
    assert "unseen" not in details
    assert details["per_system"]["A02"]["seen"] is None


def test_score_files_with_differences_and_a_verifier(corpus, tmp_path):
    trials = trials_of(choose_clips(corpus, split="test", fold=None))
    write_scores(tmp_path / "a.txt", trials, SCORES)
    write_scores(tmp_path / "b.txt", trials, -SCORES)
    (tmp_path / "asv.txt").write_text("p target 2\np target 3\np nontarget 0\np spoof 4\np spoof -1\n")
    files = ScoreFiles(tmp_path / "out.txt", tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "asv.txt")
    report = evaluate_spoof(corpus, files, split="test", fold=None)
    assert (tmp_path / "out.txt").read_text() == (tmp_path / "a.txt").read_text()
    assert report.details["seen"]["systems"] == ["A01"]  # those of the part train
    assert report.details["difference"]["all"]["eer"]["value"] == pytest.approx(0.25 - 0.75)
    assert set(report.details["difference"]) == {"all", "unseen"}
    # The verifier accepts half of the spoofs: factors 0.9405 and 0.25; accepting from 2 on costs 2/8 of the latter.
    assert report.details["min_tdcf"] == pytest.approx(0.25)
    stream = io.StringIO()
    print_report(report, "table", stream)
    assert "min t-DCF (2019) 0.2500" in stream.getvalue()
    assert "difference to the other scores, unseen: eer " in stream.getvalue()


def test_a_verifier_that_accepts_no_spoof(corpus, tmp_path):
    part = choose_clips(corpus, split="test", fold=None)
    (tmp_path / "asv.txt").write_text("p target 2\np nontarget 0\np spoof -4\n")
    with pytest.raises(DataError, match=r"asv\.txt gives no t-DCF") as caught:
        spoof_report(trials_of(part), SCORES, part, Extras(verifier=tmp_path / "asv.txt"))
    assert "both must be positive; check the ASV scores and their sign" in caught.value.problems[0]


@pytest.mark.parametrize(("system", "missing"), [("-", "spoof"), ("A01", "bonafide")])
def test_one_kind_alone_is_named(system, missing):
    manifest = manifest_of(clip("a", "p", system), clip("b", "q", system))
    with pytest.raises(UsageError, match=f"there is no {missing} recording to score: error rates need both kinds"):
        spoof_report(trials_of(manifest), np.zeros(2), manifest)


def test_names_of_utterances():
    same = [Clip("a/x.wav", "1", ("bonafide",)), Clip("b/x.wav", "2", ("spoof",), onset=1.5)]
    trials = trials_of(manifest_of(*same))
    assert trials.utterances == ("a/x.wav", "b/x.wav@1.5")
    assert trials.systems == ("-", "unnamed")
    assert trials.speakers == ("file a/x.wav", "file b/x.wav")
    with pytest.raises(DataError, match="cannot be scored") as caught:
        trials_of(manifest_of(Clip("a b.wav", "1", ("spoof",))))
    assert caught.value.problems == ("'a b' holds white space: score files have none",)


def test_other_labels_are_refused():
    dogs = Manifest(Path("dogs"), "csv", "single", ("cat", "dog"), (Clip("a.wav", "a", ("dog",)),))
    with pytest.raises(DataError, match="dogs has the labels cat, dog"):
        trials_of(dogs)


def test_wrong_use_is_explained(corpus, tmp_path):
    with pytest.raises(UsageError, match="give --model, or --from-scores with a score file: scores come from one"):
        api.evaluate("x")
    with pytest.raises(UsageError, match="scores come from one of them"):
        api.evaluate("x", model="esc10", from_scores="y")
    with pytest.raises(UsageError, match="neither a model nor a score file was given"):
        evaluate_spoof(corpus, ScoreFiles(), split=None, fold=None)
    assert ScoreFiles(asv_scores=tmp_path).first_given() == "--asv-scores"
