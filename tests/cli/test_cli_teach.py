# SPDX-License-Identifier: Apache-2.0
"""``auricle teach`` as people type it; the teacher is the tiny model of these tests."""

from __future__ import annotations

import json

import numpy as np
import soundfile

from auricle.distill.store import open_store


def test_recordings_are_labelled_and_a_broken_one_is_a_failure(auricle, model, recordings, tmp_path):
    out = tmp_path / "soft"
    done = auricle(
        "teach", recordings, "--unlabelled", "--teacher", model, "--window", "0.5", "--out", out, "-f", "json"
    )
    assert done.code == 1
    result = json.loads(done.out)
    assert (result["recordings"], result["mixtures"], result["labels"]) == (2, 0, 2)
    assert [f["path"] for f in result["failures"]] == ["broken.wav"]
    assert "auricle: broken.wav: not_audio: " in done.err
    store = open_store(out)
    row = store.rows[store.row_of["a.wav"]]
    loud = store.scores[row.first_window : row.first_window + row.windows, store.index.labels.index("loud")]
    assert loud.argmax() == 1
    assert len(loud) == 4


def test_the_map_is_shown_and_the_table_is_the_seeds(auricle, model, recordings, tmp_path):
    (recordings / "broken.wav").unlink()
    (tmp_path / "map.csv").write_text("label,teacher\nbang,Loud\n")
    out = tmp_path / "soft"
    done = auricle(
        "teach", recordings, "--unlabelled", "-T", model, "--window", 0.5, "--map", tmp_path / "map.csv", "--out", out
    )
    assert done.code == 0
    assert "  bang  <-  loud" in done.err
    assert done.out == f"2 recordings and 0 mixtures, 1 classes, in {out}\n"
    assert (out / "labels.csv").read_text().splitlines()[0] == "filename,bang"


def test_mistakes_are_one_line(auricle, model, recordings, tmp_path):
    done = auricle("teach", recordings, "--unlabelled", "--teacher", "hf:nobody/nothing", "--out", tmp_path / "soft")
    assert done.code == 2
    assert done.err.startswith("auricle: teacher hf:nobody/nothing is not in ")
    done = auricle("teach", recordings, "--unlabelled", "--teacher", model, "--window", 5, "--out", tmp_path / "soft")
    assert done.code == 2
    assert "takes at most" in done.err


def test_variants_as_people_type_it(auricle, tmp_path):
    from auricle.data.formats.registry import read_manifest

    (tmp_path / "in/flac").mkdir(parents=True)
    (tmp_path / "in/protocols").mkdir()
    lines = ["ann a - - bonafide", "robot r - S01 spoof", "robot q - S04 spoof"]
    (tmp_path / "in/protocols/train.txt").write_text("\n".join(lines) + "\n")
    for line in lines:
        noise = 0.1 * np.random.default_rng(0).standard_normal(4_000)
        soundfile.write(tmp_path / f"in/flac/{line.split()[1]}.flac", noise, 16_000)
    words = ("data", "variants", tmp_path / "in", "--out", tmp_path / "out", "--each", 1, "--exclude-system", "S04")
    done = auricle(*words, "--vocoder", "griffin_lim=S07", "-q")
    assert (done.code, done.out) == (0, f"5 recordings in {tmp_path / 'out'}\n")
    systems = sorted(clip.extra["system"] for clip in read_manifest(tmp_path / "out").clips)
    assert systems == ["-", "-", "S01", "S01", "S07"]
    done = auricle(*words, "--vocoder", "wrld=S07")
    assert done.code == 2
    assert "unknown vocoder 'wrld'" in done.err
