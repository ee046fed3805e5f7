# SPDX-License-Identifier: Apache-2.0
"""The classical baseline and the table of synthetic voices, without training anything large."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from auricle.evaluation.spoof.report import trials_of
from auricle.evaluation.spoof.score_files import write_scores
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


def test_the_baseline_is_calibrated_on_the_same_folds_as_a_network(tmp_path, monkeypatch):
    """Both rows are asked for the same clips, none of a speaker or system that the turn heard."""
    corpus = tmp_path / "corpus"
    (corpus / "flac").mkdir(parents=True)
    (corpus / "protocols").mkdir()
    rows = [[speaker, name, "-", system, kind] for speaker, name, _, system, kind in ROWS]
    (corpus / "protocols" / "train.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
    for row in rows:
        soundfile.write(corpus / "flac" / f"{row[1]}.flac", np.zeros(100) + 0.01, 8_000)
    heard = []

    def learn(manifest, out, seed):
        out.mkdir(parents=True)
        heard.append([{clip.group, clip.extra["system"]} - {"-"} for clip in manifest.clips])

    def say(row, folder, manifest):
        known = set().union(*heard[-1])
        assert not [c for c in manifest.clips if c.group in known or c.extra["system"] in known]
        return np.arange(len(manifest.clips), dtype=np.float64)

    monkeypatch.setattr(spoof, "learn_mixtures", learn)
    monkeypatch.setattr(spoof, "raw_scores", say)
    trials, scores = spoof.fold_scores(spoof.ROWS["lfcc_gmm"], corpus, tmp_path / "gmm")
    assert len(heard) == spoof.FOLDS
    assert {row[1] for row in rows if row[4] == "bonafide"} <= set(trials.utterances)
    _, turns = spoof.left_out(corpus, 0)
    for turn in turns:
        folder = tmp_path / "net" / "model" / "run" / "calibration" / turn.name
        folder.mkdir(parents=True)
        odds = 1 / (1 + np.exp(-np.arange(len(turn.test), dtype=np.float64)))
        np.savez(folder / "scores.npz", scores=np.stack([odds, 1 - odds], axis=1))
    same, network = spoof.fold_scores(spoof.ROWS["rawnet"], corpus, tmp_path / "net")
    assert same.utterances == trials.utterances
    np.testing.assert_allclose(network, scores, rtol=1e-6)


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
            facts = {"calibration": None, "parameters": 1000, "data_hash": "0" * 64}
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
    kept = tmp_path / "kept"
    monkeypatch.setattr(spoof, "KEPT_SCORES", kept)
    spoof.keep_scores(out)
    assert sorted(p.name for p in kept.iterdir()) == sorted(f"{r}-seed{s}.txt" for r in scores for s in spoof.SEEDS)
    kept_rows = [line.split() for line in (kept / "lfcc_gmm-seed1.txt").read_text().splitlines()]
    assert ["d0", "-", "bonafide", "-2.0"] in [[*row[:3], str(float(row[3]))] for row in kept_rows]
