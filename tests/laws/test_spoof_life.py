# SPDX-License-Identifier: Apache-2.0
"""The whole life of a model of synthetic voices: train, evaluate, score files, tag where torch cannot be imported."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from helpers.toydata import TINY, usable
from helpers.voicedata import RATE, voice, write_corpus

import auricle
from auricle import api
from auricle.cli.main import main
from auricle.evaluation.evaluate import choose_clips
from auricle.evaluation.spoof.evaluate import score_trials
from auricle.evaluation.spoof.report import trials_of
from auricle.runtime.llr import bonafide_probability
from auricle.training.spoof_model import calibrate

SETTINGS = [*TINY, "data.pad=repeat", "data.dev=given", "augment.mixup_alpha=0", "optim.epochs=4", "optim.lr=0.02"]
#: Without changes to the sound and without dropout, so that a few steps are enough on any processor.
PLAIN = ["model.dropout=0", "model.raw.filter_mask=0", "augment.masks=0", "augment.speed=[1, 1]"]
PLAIN += [f"augment.{change}_share=0" for change in ("noise", "filter", "impulse")]
RAW = ["model.raw.kernel=32", "model.raw.stride=8", "optim.epochs=8", "optim.weight_decay=0.01"]
NETWORKS = {"crnn": SETTINGS, "rawnet": [*usable("rawnet", SETTINGS), *PLAIN, *RAW]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("voices") / "corpus")


@pytest.fixture(scope="module", params=NETWORKS)
def voices(request, corpus, tmp_path_factory):
    """A model of each network, trained for a moment."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURICLE_CACHE", str(folder / "cache"))
        api.train(corpus, out=folder / "voice", model=request.param, overrides=NETWORKS[request.param])
    return folder / "voice"


def run(capsys, *words: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert caught.value.code in (0, None), printed.err
    return printed.out


def test_the_bundle_says_whom_it_heard_and_how_it_is_calibrated(voices):
    spec = auricle.load(voices).spec
    assert spec.is_spoof
    assert spec.provenance.systems == ("S0", "S1")
    assert set(spec.provenance.speakers) == {f"{p}{s}" for p, n in (("train", 12), ("dev", 6)) for s in range(n)}
    written = json.loads((voices / "auricle.json").read_text())["calibration"]
    assert written["method"] == "llr"
    assert set(written) == {"method", "scale", "offset", "prior_spoof"}
    assert spec.domain.shortest_s == pytest.approx(0.6)
    assert "assume that 50% of the recordings are spoofed" in (voices / "README.md").read_text()


def test_evaluation_tells_seen_from_unseen_systems(voices, corpus, capsys, tmp_path):
    report = json.loads(run(capsys, "evaluate", corpus, "--model", voices, "--split", "test", "--format", "json"))
    assert set(report["metrics"]) == {"eer", "min_dcf", "act_dcf", "cllr"}
    assert (report["seen"]["systems"], report["unseen"]["systems"]) == (["S0"], ["S2"])
    assert {name: part["seen"] for name, part in report["per_system"].items()} == {"S0": True, "S2": False}
    assert report["n"] == 24
    assert report["per_class"] == {"bonafide": {"n": 12, "speakers": 3}, "spoof": {"n": 12, "speakers": 3}}
    table = run(capsys, "evaluate", corpus, "--model", voices, "--split", "test")
    assert [line.split("  ")[0] for line in table.splitlines()[1:6]] == [
        *("all", "seen systems", "unseen systems", "S0 (seen)", "S2 (unseen)")
    ]


@pytest.mark.parametrize("name", ["scores.txt", "scores.tsv"])
def test_a_score_file_gives_the_report_of_its_model(voices, corpus, tmp_path, name):
    path = tmp_path / name
    made = api.evaluate(corpus, model=str(voices), split="test", scores=path).to_dict()
    read = api.evaluate(corpus, from_scores=path, split="test", against=path).to_dict()
    for key in ("metrics", "per_system", "seen", "unseen", "min_cllr", "n", "data_hash"):
        assert read[key] == made[key]
    assert all(m["low"] == m["high"] == 0 for part in read["difference"].values() for m in part.values())


def test_the_command_line_says_what_python_and_the_scan_say(voices, corpus, capsys, tmp_path):
    detector = auricle.load(voices)
    paths = sorted((corpus / "flac").glob("E_*.flac"))[:4]
    lines = run(capsys, "tag", *paths, "--model", voices, "--format", "json", "--quiet").splitlines()
    assert [json.loads(line) for line in lines] == [detector.tag(str(path)).to_dict() for path in paths]
    other = run(capsys, "tag", paths[0], "--model", voices, "--format", "json", "--quiet", "--prior-spoof", 0.05)
    assert json.loads(other) == detector.tag(str(paths[0]), prior_spoof=0.05).to_dict()
    run(capsys, "tag", *paths, "--model", voices, "--quiet", "--prior-spoof", 0.05, "--out", tmp_path / "scan")
    scanned = [json.loads(line) for line in (tmp_path / "scan" / "scores.jsonl").read_text().splitlines()]
    assert scanned == [detector.tag(str(path), prior_spoof=0.05).to_dict() for path in paths]
    header, row = run(capsys, "tag", paths[0], "--model", voices, "--format", "csv", "--quiet").splitlines()[:2]
    assert header == "path,duration,label,score,llr,prior_spoof,flags,error,message"
    assert float(row.split(",")[4]) == pytest.approx(json.loads(lines[0])["llr"])


def test_probabilities_are_the_ratio_at_the_prior(voices, corpus):
    detector = auricle.load(voices)
    path = next((corpus / "flac").glob("E_*.flac"))
    for prior in (None, 0.05, 0.9):
        result = detector.tag(path, prior_spoof=prior)
        scores = {s.label: s.score for s in result.scores}
        assert result.prior_spoof == (0.5 if prior is None else prior)
        assert scores["bonafide"] == pytest.approx(float(bonafide_probability(result.llr, result.prior_spoof)))
        assert sum(scores.values()) == pytest.approx(1)
        assert result.llr == detector.tag(path).llr  # no prior enters the ratio
    with pytest.raises(auricle.UsageError, match="the prior of spoofed recordings is 1; it lies between 0 and 1"):
        detector.tag(path, prior_spoof=1.0)


def test_it_tags_where_torch_cannot_be_imported(voices, corpus):
    path = next((corpus / "flac").glob("E_*.flac"))
    script = (
        "import sys\nsys.modules['torch'] = None\nimport auricle, json\n"
        f"print(json.dumps(auricle.load({str(voices)!r}).tag({str(path)!r}).to_dict()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == auricle.load(voices).tag(str(path)).to_dict()


def test_what_is_unlike_the_training_data_is_flagged(voices, tmp_path):
    """Short, silent, and nothing like syllables: each with its code, and each with its result."""
    detector = auricle.load(voices)
    sounds = {
        "voice": voice(150, 999),
        "short": voice(150, 999, 0.2),
        "silence": np.zeros(RATE, np.float32),
        "noise": (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32),
    }
    codes = {}
    for name, samples in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE)
        result = detector.tag(tmp_path / f"{name}.wav")
        assert math.isfinite(result.llr)
        codes[name] = {flag.code for flag in result.flags}
    soundfile.write(tmp_path / "call.wav", voice(150, 999)[::2], RATE // 2)
    assert codes["voice"] == set()
    assert "too_short" in codes["short"]
    assert {"silent", "out_of_distribution"} <= codes["silence"]
    assert "out_of_distribution" in codes["noise"]
    assert "band_limited" in {flag.code for flag in detector.tag(tmp_path / "call.wav").flags}
    short = next(f for f in detector.tag(tmp_path / "short.wav").flags if f.code == "too_short")
    assert short.to_dict() == {"code": "too_short", "duration_s": 0.2, "shortest_trained_s": 0.6}


def test_a_model_can_be_calibrated_later(voices, corpus, tmp_path):
    """Raw ratios of recordings that it did not hear give a calibration; nothing else of the model changes."""
    import shutil

    folder = shutil.copytree(voices, tmp_path / "again")
    before = auricle.load(folder)
    rng = np.random.default_rng(0)
    bonafide = np.repeat([True, False], 50)
    raw = np.where(bonafide, 2.0, -2.0) + rng.normal(0, 2, 100)
    calibrate(folder, raw, bonafide, prior_spoof=0.1)
    after = auricle.load(folder)
    assert after.spec.calibration.prior_spoof == 0.1
    assert after.spec.model_copy(update={"calibration": None}) == before.spec.model_copy(update={"calibration": None})
    old, new = before.spec.calibration, after.spec.calibration
    path = next((corpus / "flac").glob("E_*.flac"))
    uncalibrated = (before.tag(path).llr - old.offset) / old.scale
    assert after.tag(path).llr == pytest.approx(new.scale * uncalibrated + new.offset)
    with pytest.raises(auricle.AuricleError, match="cannot be calibrated: need scores of both kinds"):
        calibrate(folder, -raw, bonafide)


def test_scores_of_a_part_come_from_the_detector(voices, corpus):
    from auricle.data.formats.registry import read_manifest

    manifest = choose_clips(read_manifest(corpus), split="test", fold=None)
    detector = auricle.load(voices)
    values, flags = score_trials(detector, manifest)
    trials = trials_of(manifest)
    assert flags == {}
    assert values[3] == detector.tag(corpus / "flac" / f"{trials.utterances[3]}.flac").llr
