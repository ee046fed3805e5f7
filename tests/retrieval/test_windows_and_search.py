# SPDX-License-Identifier: Apache-2.0
"""Vectors of the windows of an archive, and the windows that are most like an example."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest
import soundfile

import auricle
from auricle.cli.main import main
from auricle.errors import RunError, UsageError
from auricle.retrieval.index import open_vectors
from auricle.retrieval.search import best_rows, similarities
from auricle.retrieval.windows import window_rule
from auricle.runtime.detector import load
from auricle.synth.toy import make_clip

RATE = 16_000
PLACES = {"a.wav": ("chirp", 4.0), "b.wav": ("siren", 9.0), "c.wav": ("clicks", 1.0), "d.wav": ("siren", 2.0)}


def sound(label: str, number: int, seconds: float = 2.0) -> np.ndarray:
    return make_clip(label, clip_s=seconds, sample_rate=RATE, generator=np.random.default_rng([7, number]))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Four recordings of 12 s with one sound each, over faint noise, and one that is broken."""
    folder = tmp_path_factory.mktemp("archive")
    for number, (name, (label, onset)) in enumerate(PLACES.items()):
        samples = 0.0005 * np.random.default_rng(number).standard_normal(12 * RATE)
        part = sound(label, number)
        samples[round(onset * RATE) : round(onset * RATE) + len(part)] += part
        soundfile.write(folder / name, samples, RATE)
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(40))
    return folder


@pytest.fixture(scope="module")
def vectors(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("vectors") / "v"
    return auricle.embed(archive, windows=True, window_s=3, hop_s=1, out=out)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "siren.wav"
    soundfile.write(path, np.concatenate([np.zeros(2 * RATE), sound("siren", 99)]), RATE)
    return path


def test_each_window_has_a_row_and_its_times(vectors, archive):
    assert (vectors.windows, vectors.recordings, vectors.window_s, vectors.hop_s) == (40, 4, 3, 1)
    assert list(vectors.failures) == [str(archive / "broken.wav")]
    found = open_vectors(vectors_folder(vectors))
    assert found.vectors.shape == (40, vectors.dimension)
    assert isinstance(found.vectors, np.memmap)
    assert np.array_equal(np.load(vectors_folder(vectors) / "vectors.npy"), found.vectors)
    rows = found.windows(range(40))
    assert rows[:2] == [(str(archive / "a.wav"), 0.0, 3.0), (str(archive / "a.wav"), 1.0, 4.0)]
    assert rows[9] == (str(archive / "a.wav"), 9.0, 12.0)
    assert rows[10][0] == str(archive / "b.wav")
    table = (vectors_folder(vectors) / "windows.csv").read_text().splitlines()
    assert table[:2] == ["path,onset,offset", f"{archive / 'a.wav'},0.0,3.0"]


def vectors_folder(vectors):
    from pathlib import Path

    return Path(vectors.path)


def test_a_vector_is_the_networks_embedding_of_that_window(vectors, archive):
    samples, _ = soundfile.read(archive / "b.wav", dtype="float32")
    window = samples[2 * RATE : 5 * RATE]
    expected = load("general").network.run(window[None], frozenset({"embedding"})).embedding[0]
    row = open_vectors(vectors_folder(vectors)).vectors[10 + 2]
    np.testing.assert_allclose(row, expected, atol=2e-3, rtol=2e-3)


def test_a_short_recording_is_one_window_as_long_as_it_is(tmp_path):
    soundfile.write(tmp_path / "s.wav", sound("chirp", 1, 1.0), RATE)
    result = auricle.embed(tmp_path / "s.wav", windows=True, out=tmp_path / "v")
    assert open_vectors(tmp_path / "v").windows([0]) == [(str(tmp_path / "s.wav"), 0.0, 1.0)]
    assert (result.windows, result.window_s) == (1, 3.0)


@pytest.mark.parametrize(("label", "name"), [("chirp", "a.wav"), ("clicks", "c.wav")])
def test_the_window_like_an_example_comes_first(vectors, tmp_path, label, name):
    soundfile.write(tmp_path / "x.wav", np.concatenate([np.zeros(2 * RATE), sound(label, 99)]), RATE)
    found = auricle.search(tmp_path / "x.wav", index=vectors.path, top=4)
    assert found.searched == 40
    first = found.matches[0]
    assert first.path.endswith(name)
    assert PLACES[name][1] - 3 < first.onset < PLACES[name][1] + 2
    scores = [m.score for m in found.matches]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1] + 0.05, "what is something else is far behind"
    assert scores[0] <= 1


def test_windows_that_overlap_a_better_one_are_not_shown(vectors, example):
    matches = auricle.search(example, index=vectors.path, top=12).matches
    for i, one in enumerate(matches):
        for other in matches[i + 1 :]:
            assert one.path != other.path or one.offset <= other.onset or other.offset <= one.onset


def test_command_line_and_python_say_the_same(vectors, example, archive, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["search", str(example), "--in", vectors.path, "--top", "3", "--format", "json"])
    assert caught.value.code in (0, None)
    shown = json.loads(capsys.readouterr().out)
    assert shown == auricle.search(example, index=vectors.path, top=3).to_dict()
    with pytest.raises(SystemExit) as caught:
        main(
            ["embed", str(archive), "--windows", "--window", "3", "--hop", "1", "--out", str(tmp_path / "v"), "--quiet"]
        )
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["windows"] == 40
    assert "broken.wav: " in err
    again = (tmp_path / "v" / "vectors.npy").read_bytes()
    assert again == (vectors_folder(vectors) / "vectors.npy").read_bytes()


def test_matches_are_cut_out(vectors, example, tmp_path):
    found = auricle.search(example, index=vectors.path, top=2, clips=tmp_path / "found")
    assert len(found.clips) == 2
    for match, path in zip(found.matches, found.clips, strict=True):
        samples, rate = soundfile.read(path, dtype="float32")
        whole, _ = soundfile.read(match.path, dtype="float32")
        assert rate == RATE
        assert np.array_equal(samples, whole[round(match.onset * RATE) : round(match.offset * RATE)])


def test_without_windows_it_is_a_scan(archive):
    results = list(auricle.embed(archive / "a.wav"))
    assert np.array_equal(results[0].embedding, load("general").embed(archive / "a.wav").embedding)


def test_vectors_of_windows_have_one_format(archive, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["embed", str(archive), "--windows", "--format", "csv", "--out", str(tmp_path / "v")])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "auricle: --windows writes vectors.npy and windows.csv, and no --format csv\n"
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_s": 2.0}, "--window and --hop cut recordings into windows: say --windows too"),
        ({"windows": True}, "--windows needs a folder for the vectors: --out DIR"),
        ({"windows": True, "out": "v", "resume": True}, "takes neither --resume nor --engine ray"),
        (
            {"windows": True, "out": "v", "from_time": "04:30"},
            r"no times of day \(--from, --to\)",
        ),
        ({"windows": True, "out": "v", "window_s": 2.0, "hop_s": 3.0}, "--hop 3: .* sound would be skipped"),
        ({"windows": True, "out": "v", "window_s": 0.01}, r"--window 0\.01: general needs 0\.08 s at least"),
    ],
)
def test_options_that_do_not_go_together(archive, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        auricle.embed(archive / "a.wav", **options)


def test_a_model_of_one_length_keeps_its_window():
    detector = load("esc10")
    if not detector.spec.fixed_length:
        fixed = detector.spec.model_copy(update={"fixed_length": True})
        assert window_rule(fixed).window_s == fixed.window_s
        with pytest.raises(UsageError, match=r"takes windows of .* and no others"):
            window_rule(fixed, 1.0)


def test_vectors_of_another_model_and_unfinished_ones_are_refused(vectors, example, tmp_path):
    with pytest.raises(UsageError, match=r"are of another model .general, network .* than esc10"):
        auricle.search(example, index=vectors.path, model="esc10")
    with pytest.raises(RunError, match=r"holds no finished vectors \(no index\.json\)"):
        auricle.search(example, index=tmp_path)
    half = shutil.copytree(vectors.path, tmp_path / "half")
    (half / "vectors.npy").write_bytes((half / "vectors.npy").read_bytes()[:-100])
    with pytest.raises(RunError, match="is damaged"):
        auricle.search(example, index=half)
    with pytest.raises(RunError, match="is not empty"):
        auricle.embed(example, windows=True, out=vectors.path)


def test_blocks_change_nothing():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((40_000, 8)).astype(np.float16)
    wanted = rng.standard_normal(8).astype(np.float32)
    whole = table.astype(np.float64)
    expected = whole @ wanted / np.linalg.norm(whole, axis=1) / np.linalg.norm(wanted)
    found = similarities(table, wanted)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert best_rows(found, 50) == np.argsort(-found, kind="stable")[:50].tolist()


@pytest.mark.slow
def test_a_million_windows_take_about_a_second():
    table = np.random.default_rng(0).standard_normal((1_000_000, 384), dtype=np.float32).astype(np.float16)
    begin = time.process_time()
    best_rows(similarities(table, table[777].astype(np.float32)), 200)
    assert time.process_time() - begin < 4
