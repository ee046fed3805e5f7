# SPDX-License-Identifier: Apache-2.0
"""The built-in model of synthetic voices: what a user finds right after installation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from auricle.results import SPOOF_LABELS
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import load
from auricle.runtime.llr import bonafide_probability
from auricle.runtime.model_names import resolve_model


@pytest.fixture(scope="module")
def folder():
    return resolve_model("spoof")


def test_it_is_small_calibrated_and_never_heard_the_voices_of_s04(folder):
    spec = load_bundle(folder).spec
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    assert spec.is_spoof
    assert tuple(sorted(spec.labels)) == SPOOF_LABELS
    assert (spec.window_samples, spec.pad, spec.aggregate) == (64_600, "repeat", "mean_logit")
    assert spec.calibration.method == "llr"
    assert spec.calibration.scale > 0
    assert spec.provenance.systems == ("S01", "S02", "S03", "S05", "S06", "S07", "S08", "S09")
    assert spec.domain is not None


def test_its_card_names_every_source_and_says_what_it_cannot_do(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("CC BY-SA 3.0", "CC0 1.0", "GPL-2", "Allison Smith", "Fish Fillets", "MBROLA", "chance", "S10, S11"):
        assert words in text
    assert "not calibrated" not in text


def test_the_figures_on_its_card_are_whole(folder):
    rows = [
        line for line in (folder / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| not in")
    ]
    eer, low, high = (
        float(v) for v in rows[0].split("|")[2].replace("[", "").replace("]", "").replace(",", "").split()
    )
    assert 0 < low < eer < high < 100


def test_it_tags_anything_and_flags_what_is_no_speech(folder):
    detector = load("spoof")
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(5 * 16_000)).astype(np.float32)
    result = detector.tag(noise, 16_000)
    scores = {s.label: s.score for s in result.scores}
    assert scores["bonafide"] == pytest.approx(float(bonafide_probability(result.llr, result.prior_spoof)))
    assert math.isfinite(result.llr)
    assert "out_of_distribution" in {flag.code for flag in result.flags}
    assert json.loads(json.dumps(result.to_dict()))["llr"] == pytest.approx(result.llr, rel=1e-5)
    short = detector.tag(noise[:3_200], 16_000)
    assert "too_short" in {flag.code for flag in short.flags}
    silent = detector.tag(np.zeros(16_000, np.float32), 16_000)
    assert "silent" in {flag.code for flag in silent.flags}
