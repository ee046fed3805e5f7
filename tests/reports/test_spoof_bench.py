# SPDX-License-Identifier: Apache-2.0
"""The classical baseline and the table of synthetic voices, without training anything large."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auricle.evaluation.score_files import write_scores
from auricle.evaluation.spoof_report import trials_of

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import lfcc, spoof


def test_filters_are_triangles_that_sum_to_one_between_their_centres():
    filters = lfcc.linear_filters()
    assert filters.shape == (20, 257)
    inner = filters[:, 13:244]  # between the first and the last centre
    np.testing.assert_allclose(inner.sum(axis=0), 1)
    assert filters.max() <= 1


def test_the_cosine_transform_is_orthonormal():
    np.testing.assert_allclose(lfcc.cosines() @ lfcc.cosines().T, np.eye(20), atol=1e-12)


def test_differences_of_a_ramp_are_its_slope():
    ramp = np.arange(20.0)[:, None] * [2.0, -1.0]
    np.testing.assert_allclose(lfcc.differences(ramp)[3:-3], np.tile([2.0, -1.0], (14, 1)))


def test_features_of_a_second():
    samples = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    features = lfcc.lfcc(samples)
    assert features.shape == (99, 60)
    assert features.dtype == np.float32
    assert np.isfinite(lfcc.lfcc(np.zeros(10, np.float32))).all()


def test_mixtures_are_those_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(0)
    human, fake = rng.normal(0, 1, (300, 4)).astype(np.float32), rng.normal(1, 2, (300, 4)).astype(np.float32)
    with pytest.warns(UserWarning, match="did not converge"):
        found = lfcc.train([human[:150], human[150:]], [fake], seed=0, components=3)
    model = GaussianMixture(3, covariance_type="diag")
    model.weights_, model.means_, model.covariances_ = (
        found[f"spoof.{part}"] for part in ("weights", "means", "variances")
    )
    model.precisions_cholesky_ = 1 / np.sqrt(model.covariances_)
    ours = lfcc.log_likelihood(fake.astype(np.float64), model.weights_, model.means_, model.covariances_)
    np.testing.assert_allclose(ours, model.score_samples(fake.astype(np.float64)), rtol=1e-6)
    assert lfcc.score(found, human) > 0 > lfcc.score(found, fake)


ROWS = [
    *(["h1", f"a{i}", "-", "-", "bonafide"] for i in range(4)),
    *(["h2", f"b{i}", "-", "-", "bonafide"] for i in range(3)),
    *(["h_3", f"c{i}", "-", "-", "bonafide"] for i in range(2)),
    ["h_4", "d0", "-", "-", "bonafide"],
    *([f"t{s}", f"e{s}", "-", s, "spoof"] for s in ("S01", "S02", "S03", "S05", "S06")),
    *(["h1", f"v{s}", "-", s, "spoof"] for s in ("S07", "S08", "S09")),
    ["h_9", "w", "-", "S07", "spoof"],
]


def test_no_speaker_and_no_system_is_on_both_sides_of_a_fold():
    scored = []
    for fold, systems in enumerate(spoof.FOLDS):
        parts = spoof.fold_parts(ROWS, fold)
        speakers = [{row[0] for row in parts[name]} for name in ("train", "eval")]
        assert not speakers[0] & speakers[1]
        assert {row[3] for row in parts["eval"]} <= {*systems, "-"}
        assert not {row[3] for row in parts["train"]} & set(systems)
        scored += [row[1] for row in parts["eval"]]
    human = {row[1] for row in ROWS if row[4] == "bonafide"}
    assert human <= set(scored)
    assert len(scored) == len(set(scored))


def test_dev_is_scored_once_and_the_table_says_who_wins(tmp_path, monkeypatch):
    """Rows of made-up scores: the raw net is better by far than one row and as good as the other."""
    shared, out = tmp_path / "shared", tmp_path / "out"
    corpus = shared / "data" / "spoof"
    (corpus / "flac").mkdir(parents=True)
    (corpus / "protocols").mkdir()
    train = [["h0", "t0", "-", "-", "bonafide"], ["s0", "t1", "-", "S01", "spoof"], ["s1", "t2", "-", "S04", "spoof"]]
    dev = [["h1", f"d{i}", "-", "-", "bonafide"] for i in range(3)] + [["h2", "d3", "-", "-", "bonafide"]]
    dev += [["s2", f"x{i}", "-", "S01", "spoof"] for i in range(3)]
    dev += [[f"s{3 + i}", f"y{i}", "-", "S10", "spoof"] for i in range(4)]
    for part, rows in (("train", train), ("dev", dev)):
        (corpus / "protocols" / f"{part}.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
        for row in rows:
            soundfile.write(corpus / "flac" / f"{row[1]}.flac", np.zeros(100) + 0.01, 8_000)
    assert [row[1] for row in spoof.lines_of(shared, "train")] == ["t0", "t1"]  # S04 is never there
    everything = spoof.read_manifest(corpus)
    trials = trials_of(spoof.choose_clips(everything, split="dev", fold=None))
    right = np.where(trials.bonafide, 2.0, -2.0)
    scores = {"rawnet": right, "crnn": right * 3, "lfcc_gmm": -right}
    monkeypatch.setattr(spoof, "describe", lambda: {"commit": "abc"})
    for name, values in scores.items():
        for seed in spoof.SEEDS:
            folder = out / name / "final" / f"seed{seed}"
            folder.mkdir(parents=True)
            facts = {"minutes": 1, "calibration": None, "parameters": 1000, "data_hash": "0" * 64}
            (folder / "run.json").write_text(json.dumps({**facts, "machine": {"commit": "abc"}}))
            write_scores(folder / "dev.txt", trials, values)
        (out / name / "settings.json").write_text("[]")
    with pytest.raises(SystemExit, match=r"seed0/dev\.txt is there: dev is scored once"):
        spoof.score(shared, out, "rawnet")
    page = spoof.table(shared, out)
    assert "| raw waveform: `rawnet`, default recipe | 1,000 | **0.0 [0.0, 0.0]** |" in page
    assert "| row | S01 (seen) | S10 (unseen) |" in page
    verdicts = {
        line.split(" | ")[0].strip("| "): line.split("**")[1]
        for line in page.splitlines()
        if "**yes**" in line or "**no:" in line
    }
    assert verdicts == {"crnn": "no: not beyond chance", "lfcc_gmm": "yes"}
    with pytest.raises(SystemExit, match="was begun with the settings"):
        spoof.kept_settings(out / "crnn", ["optim.epochs=3"])
