# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate`` on labels that say when, on quiet recordings, and with --tune."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import LABELS, RATE, make_bundle

from auricle import api
from auricle.evaluation.events.report import COUNTS, RULES
from auricle.runtime.bundle import load_bundle

SED = {*RULES, *COUNTS}


@pytest.fixture
def own(tmp_path):
    """A model of one's own, whose filter is too long and whose thresholds nothing reaches."""
    limits = dict.fromkeys(LABELS, 0.95)
    return make_bundle(tmp_path / "own", thresholds=limits, postprocess={"median_s": 0.9, "max_gap_s": 0.1}).path


@pytest.fixture
def scenes(tmp_path):
    """Twelve recordings of 6 s, half of them dev: two loud sounds of 0.3 s and of 1 s over something softer."""
    folder, rng = tmp_path / "scenes", np.random.default_rng(0)
    (folder / "audio").mkdir(parents=True)
    strong, facts = ["filename\tonset\toffset\tevent_label"], ["filename\tsplit"]
    for number in range(12):
        level = np.full(6 * RATE, 0.3)
        spans = [(1.0 + number / 10, 1.3 + number / 10), (4.0, 5.0)]
        for onset, offset in spans:
            level[round(onset * RATE) : round(offset * RATE)] = 0.8
            strong.append(f"{number}.wav\t{onset:.2f}\t{offset:.2f}\tloud")
        samples = level * np.sign(rng.standard_normal(len(level)))
        soundfile.write(folder / "audio" / f"{number}.wav", samples, RATE, subtype="FLOAT")
        facts.append(f"{number}.wav\t{'dev' if number % 2 else 'test'}")
    (folder / "strong.tsv").write_text("\n".join(strong) + "\n")
    (folder / "facts.tsv").write_text("\n".join(facts) + "\n")
    return folder


@pytest.fixture
def quiet(tmp_path):
    """A folder of a minute with three loud sounds, and half a minute with two."""
    folder, samples = tmp_path / "silence", np.zeros(60 * RATE, np.float32)
    folder.mkdir()
    for second in (5, 20, 40):
        samples[second * RATE : (second + 2) * RATE] = np.tile([0.9, -0.9], RATE)
    soundfile.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    soundfile.write(folder / "b.wav", samples[: 30 * RATE], RATE, subtype="FLOAT")
    return folder


def test_labels_that_say_when_bring_the_figures_of_sound_event_detection(auricle, own, scenes):
    done = auricle("evaluate", scenes, "--model", own, "--split", "test", "--format", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert set(report["metrics"]) > SED
    assert report["strong"] == {"recordings": 6, "hours": 0.01}
    assert report["per_class"]["loud"]["events"] == 12
    assert report["per_class"]["loud"]["event_f1"] == 0  # nothing reaches 0.95
    assert report["per_class"]["quiet"]["event_f1"] is None
    assert all(report["metrics"][name]["n"] == 6 for name in SED)
    table = auricle("evaluate", scenes, "--model", own, "--split", "test").out
    assert all(name in table for name in SED)


def test_tuning_finds_what_was_missed_and_is_stored(auricle, own, scenes):
    before = load_bundle(own)
    done = auricle("evaluate", scenes, "--model", own, "--tune", "--format", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    after = load_bundle(own)  # all hashes are right
    assert after.spec.sha256 == before.spec.sha256
    assert after.spec.postprocess.median_of("loud") < 0.9
    assert report["tuned"]["thresholds"]["loud"] == after.spec.thresholds["loud"] < 0.9
    assert report["tuned"]["clips"] == 6
    assert report["per_class"]["loud"]["intersection_f1"] == 1
    test = api.evaluate(scenes, model=str(own), split="test").per_class["loud"]
    assert test["intersection_f1"] == 1


def test_tuning_can_make_boxes(auricle, own, scenes):
    done = auricle("evaluate", scenes, "--model", own, "--tune", "--boxes", "--format", "json")
    assert done.code == 0, done.err
    assert load_bundle(own).spec.postprocess.boxes is not None
    assert json.loads(done.out)["per_class"]["loud"]["intersection_f1"] > 0.9
    assert auricle("evaluate", scenes, "--model", own, "--tune").code == 0
    assert load_bundle(own).spec.postprocess.boxes is None


def test_weak_labels_tune_filter_and_threshold(auricle, own, tmp_path, scenes):
    rows = ["filename,label,split"]
    silent = tmp_path / "weak"
    silent.mkdir()
    for number in range(8):
        level = np.full(2 * RATE, 0.3)
        level[900:1200] = 0.8 if number < 4 else 0.3
        samples = level * np.sign(np.random.default_rng(number).standard_normal(len(level)))
        soundfile.write(silent / f"{number}.wav", samples, RATE, subtype="FLOAT")
        rows.append(f"{number}.wav,{'loud' if number < 4 else 'quiet'},dev")
    (silent / "clips.csv").write_text("\n".join(rows) + "\n")
    assert auricle("evaluate", silent, "--model", own, "--tune").code == 0
    post = load_bundle(own).spec.postprocess
    assert post.median_of("loud") <= 0.4  # a filter of 0.8 s eats a sound of 0.3 s
    refused = auricle("evaluate", silent, "--model", own, "--tune", "--boxes")
    assert refused.code == 2
    assert "--boxes needs labels that say when, and" in refused.err
    assert "leave --boxes out" in refused.err


def test_a_precision_that_is_asked_for_is_reached_or_refused(auricle, own, tmp_path):
    """Four loud and four quiet recordings: three of four can be told from all (75 %), 95 % cannot."""
    rows, folder = ["filename,label,split"], tmp_path / "weak"
    folder.mkdir()
    for number in range(8):
        samples = np.tile([0.9, -0.9] if number < 4 else [0.1, -0.1], RATE)
        soundfile.write(folder / f"{number}.wav", samples, RATE, subtype="FLOAT")
        rows.append(f"{number}.wav,{'loud' if number < 4 else 'quiet'},dev")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    words = ("evaluate", folder, "--model", own, "--tune", "--format", "json", "--min-precision")
    before = load_bundle(own).spec
    refused = auricle(*words, "0.95")
    assert refused.code == 2
    assert "loud: 4 recordings hold it, and 95% can be told from all of 20 or more" in refused.err
    assert load_bundle(own).spec == before, "nothing was stored"
    done = auricle(*words, "0.75")
    assert done.code == 0, done.err
    tuned = json.loads(done.out)["tuned"]
    assert tuned["min_precision"] == 0.75
    for label in ("loud", "quiet"):
        assert tuned["reached"][label]["precision"]["value"] == tuned["reached"][label]["recall"]["value"] == 1
        assert tuned["reached"][label]["precision"]["n"] == 4
        assert 0.1 < tuned["thresholds"][label] == load_bundle(own).spec.thresholds[label] < 0.9


def test_thresholds_rise_until_alarms_are_few(auricle, tmp_path):
    """A minute with alarms of .9, .7 and .5: at most 60 an hour leaves one, and is stored; 30 cannot be told."""
    own = make_bundle(tmp_path / "m", thresholds={"loud": 0.3, "quiet": 1.0}, postprocess={"median_s": 0}).path
    samples = np.tile(np.array([0.2, -0.2], np.float32), 30 * RATE)
    for second, level in ((5, 0.9), (20, 0.7), (40, 0.5)):
        samples[second * RATE : (second + 2) * RATE] = np.tile([level, -level], RATE)
    soundfile.write(tmp_path / "night.wav", samples, RATE, subtype="FLOAT")
    words = ("evaluate", "--model", own, "--false-alarms", tmp_path / "night.wav", "--format", "json")
    assert json.loads(auricle(*words).out)["per_class"]["loud"]["alarms"] == 3
    refused = auricle(*words, "--at-most", 30)
    assert refused.code == 2
    assert "0.02 h of sound cannot tell 30 alarms an hour from none; give 0.03 h or more" in refused.err
    done = auricle(*words, "--at-most", 60)
    assert done.code == 0, done.err
    row = json.loads(done.out)["per_class"]["loud"]
    assert row["alarms"] == 1
    stored = load_bundle(own).spec.thresholds["loud"]
    assert 0.7 < stored < 0.75
    assert row["threshold"] == pytest.approx(stored, rel=1e-5)
    assert auricle("evaluate", "--model", "esc10", *words[3:], "--at-most", 60).code == 2


def test_tuning_reads_its_data_as_it_is_asked(auricle, own, tmp_path):
    """Arrays without a rate of their own, a table in another encoding, the classes in a column of another name."""
    arrays, rows = tmp_path / "arrays", ["filename,id,Ger\u00e4usch,split"]
    arrays.mkdir()
    for number in range(4):
        samples = np.tile([0.8, -0.8] if number < 2 else [0.2, -0.2], RATE).astype(np.float32)
        np.save(arrays / f"{number}.npy", samples)
        rows.append(f"{number}.npy,{number},{'loud' if number < 2 else 'quiet'},dev")
    (arrays / "labels.csv").write_text("\n".join(rows) + "\n", encoding="cp1252")
    words = ["evaluate", arrays, "--model", own, "--tune", "--format", "json"]
    asked = ["--data-format", "csv", "--encoding", "cp1252", "--label-column", "Ger\u00e4usch", "--sample-rate", RATE]
    done = auricle(*words, *asked)
    assert done.code == 0, done.err
    assert json.loads(done.out)["tuned"]["clips"] == 4
    assert load_bundle(own).spec.thresholds["loud"] < 0.8
    for without, text in ((asked[:2] + asked[4:], "is not UTF-8"), (asked[:6], "--sample-rate")):
        refused = auricle(*words, *without)
        assert (refused.code, text in refused.err) == (2, True), refused.err
    refused = auricle(*words, "--data-format", "desed", *asked[2:])
    assert (refused.code, "holds no table of events" in refused.err) == (2, True), refused.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--split", "test"), "--tune with --split test: tuning looks at the part dev only"),
        (("--fold", "1"), "--tune with --fold 1: tuning looks at the part dev only"),
    ],
)
def test_tuning_refuses_every_part_but_dev(auricle, own, scenes, words, text):
    before = (own / "auricle.json").read_bytes()
    done = auricle("evaluate", scenes, "--model", own, "--tune", *words)
    assert done.code == 2
    assert text in done.err
    assert (own / "auricle.json").read_bytes() == before


def test_tuning_needs_a_dev_part_and_a_model_of_ones_own(auricle, own, scenes):
    (scenes / "facts.tsv").unlink()
    done = auricle("evaluate", scenes, "--model", own, "--tune")
    assert done.code == 2
    assert "has no part dev to tune on (its parts: none); put recordings that the model has not learnt from" in done.err
    done = auricle("evaluate", scenes, "--model", "esc10", "--tune")
    assert done.code == 2
    assert "esc10 is not a folder of yours, so it is not changed; copy" in done.err


def test_false_alarms_of_files_and_folders(auricle, own, quiet):
    words = ("evaluate", "--model", own, "--format", "json", "--false-alarms")
    report = json.loads(auricle(*words, quiet / "a.wav").out)
    assert report["metrics"]["false_alarms_per_hour"]["value"] == 240  # silence is ``quiet``: around three sounds
    report = api.false_alarms(quiet, model=str(own), threshold={"loud": 0.8, "quiet": 1.0})
    assert report.per_class["loud"]["alarms"] == 5
    assert report.per_class["loud"]["per_hour"] == pytest.approx(200)
    assert report.n == 2
    table = auricle("evaluate", "--model", own, "--false-alarms", quiet).out
    assert "false_alarms_per_hour" in table
    assert "per_hour" in table


def test_a_quiet_recording_that_cannot_be_read_stops_it(auricle, own, quiet):
    (quiet / "c.wav").write_text("no sound")
    done = auricle("evaluate", "--model", own, "--false-alarms", quiet)
    assert done.code != 0
    assert "c.wav" in done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "no DATA: give labelled recordings, or --false-alarms with recordings of none of the classes"),
        (
            ("data", "--false-alarms", "x.wav", "--model", "m"),
            "--false-alarms takes --model and recordings without any",
        ),
        (("--false-alarms", "x.wav"), "--false-alarms takes --model and recordings without any class"),
        (("data", "--boxes", "--model", "m"), "--boxes says what --tune fits; give both"),
        (("data", "--at-most", "1", "--model", "m"), "--at-most says how many --false-alarms an hour there may be"),
        (("data", "--min-precision", "0.9", "--model", "m"), "--min-precision says what --tune fits; give both"),
        (("data", "--tune"), "--tune takes --model, a folder, and no score files"),
    ],
)
def test_what_does_not_go_together_is_said(auricle, words, text):
    done = auricle("evaluate", *words)
    assert done.code == 2
    assert text in done.err
