# SPDX-License-Identifier: Apache-2.0
"""The demo from the outside, shrunk to seconds, and its steps one by one."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile

from auricle import demo
from auricle.cli.demo import _describe
from auricle.data.formats.registry import read_manifest
from auricle.errors import Interrupted, RunError, UsageError
from auricle.synth.toy import MAKERS, synthesise

TINY = ("data.clip_s=1", "data.workers=0", "optim.epochs=1", "run.threads=1", "run.device=cpu")
LEFT = {"data", "few-clips", "enrolled", "model", "scene.wav", "scene.csv", "events.csv", "report.html", demo.MARK}
STEPS = ("data", "scene", "name", "enrol", "train", "test", "detect", "page")


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Make the demo's data and training tiny."""
    monkeypatch.setattr(demo, "SYNTHETIC_RECIPE", TINY)
    monkeypatch.setattr(demo, "REAL_RECIPE", TINY)
    monkeypatch.setattr(demo, "CLIPS_A_CLASS", {"train": 4, "test": 2})
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folds(tmp_path):
    """A table of two folds without negatives, one class a folder."""
    folder = tmp_path / "table"
    for fold in (1, 2):
        synthesise(folder / str(fold), clips_per_class=2, clip_s=1.0, seed=fold)
    rows = ["filename,fold,label\n"]
    rows += [
        f"{fold}/{label}/{label}-{i:03d}.wav,{fold},{label}\n" for fold in (1, 2) for label in MAKERS for i in (0, 1)
    ]
    (folder / "clips.csv").write_text("".join(rows))
    return folder


@pytest.mark.slow
def test_the_demo_goes_the_whole_way_also_over_an_earlier_one(auricle, tiny, tmp_path):
    out = tmp_path / "out"
    demo.acquire_folder(out, None)
    synthesise(out / "data" / "train", clips_per_class=1, clip_s=0.1)
    (out / "report.html").write_text("old")
    done = auricle("demo", "--out", out)
    assert done.code == 0, done.err
    assert {path.name for path in out.iterdir()} == LEFT
    announced = [line for line in done.out.splitlines() if line.startswith("[")]
    assert [line.split()[:2] for line in announced] == [[f"[{i}/8]", name] for i, name in enumerate(STEPS, 1)]
    assert all(line.endswith(" s)") for line in announced), "each with its duration"
    assert "36 recordings of 6 classes" in announced[0]
    assert "general, which came with auricle, names " in announced[2]
    assert announced[3].startswith("[4/8] enrol  5 clips a class, no training: ")
    assert "on 14 held-out recordings, scored once (95 % interval" in announced[5]
    assert "train: " in done.err
    samples, rate = soundfile.read(out / "scene.wav")
    assert len(samples) == demo.SCENE_S * rate
    assert "<title>auricle demo" in (out / "report.html").read_text(encoding="utf-8")
    commands = [line.split("#")[0].split() for line in done.out.splitlines() if line.startswith("  auricle ")]
    assert [words[1] for words in commands] == ["models", "detect", "tag", "train"]
    assert auricle(*commands[0][1:]).code == 0
    assert auricle(*commands[1][1:]).code == 0


def test_real_data_gets_quiet_negatives_and_holds_out_its_first_fold(tiny, folds, tmp_path):
    said = _describe(demo.open_data(tmp_path / "out", folds))
    assert said == f"24 recordings of 6 classes and 4 of none of them, from {folds}; fold 1 (12) is held out"


def test_the_scene_is_made_of_held_out_clips_only(tiny, folds, tmp_path):
    source = demo.open_data(tmp_path / "out", folds)
    assert {clip.fold for clip in source.held_out} == {"1"}
    assert not any(clip.negative for clip in source.held_out), "the figure stays that of the data"
    assert {clip.fold for clip in source.manifest.clips if clip.negative} == {"2"}
    scene = demo.make_scene(source)
    assert len(scene.truth) == 12
    assert {event.label for event in scene.truth} == set(MAKERS)
    assert all(0 < event.offset - event.onset <= 1 for event in scene.truth)
    again = demo.make_scene(source)
    assert np.array_equal(scene.samples, again.samples)


def test_a_recording_lies_behind_the_scene(tiny, folds, tmp_path):
    """A tone as the background: the scene has it where no clip is, at the level that is asked for."""
    scene = demo.make_scene(demo.open_data(tmp_path / "out", folds), _tone(440))
    first = scene.samples[: round(min(event.onset for event in scene.truth) * 16_000)]
    spectrum = np.abs(np.fft.rfft(first))
    assert np.argmax(spectrum) / len(first) * 16_000 == pytest.approx(440, abs=2)
    loud, peak = 20 * np.log10(np.sqrt(np.mean(first**2))), np.abs(scene.samples).max()
    assert peak == pytest.approx(0.99), "all of it was turned down, as a click is loud for its mean power"
    assert demo.BACKGROUND_DB - 10 < loud < demo.BACKGROUND_DB


def _tone(hertz):
    return np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32)


def _loudest_hertz(samples):
    return np.argmax(np.abs(np.fft.rfft(samples))) / len(samples) * 16_000


def test_one_half_of_a_place_is_told_and_the_other_lies_behind_the_scene(tiny, folds, tmp_path):
    """A place of two tones: negatives and what is enrolled have the first, the scene the second."""
    soundfile.write(tmp_path / "place.wav", np.concatenate([_tone(300), _tone(700)]), 16_000)
    place, behind = demo.read_place(tmp_path / "place.wav")
    assert [_loudest_hertz(half) for half in (place, behind)] == [300, 700]
    source = demo.open_data(tmp_path / "out", folds, place)
    negatives = [soundfile.read(clip.path)[0] for clip in source.manifest.clips if clip.negative]
    assert [round(_loudest_hertz(clip)) == 300 for clip in negatives] == [False, True, False, True]
    assert _loudest_hertz(soundfile.read(tmp_path / "out" / "place" / "place.wav")[0]) == 300
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo.api, "enrol", lambda clips, **options: asked.append(options["negatives"]))
        demo.enrol_few(tmp_path / "out", source)
    assert asked == [[tmp_path / "out" / "place"]]


def test_the_first_clips_of_each_class_that_are_not_held_out_are_enrolled(tiny, folds, tmp_path):
    result = demo.enrol_few(tmp_path / "out", demo.open_data(tmp_path / "out", folds))
    assert set(result.labels) == set(MAKERS)
    assert result.clips == 2 * len(MAKERS)


def test_truth_and_events_are_tables_that_auricle_reads(tiny, folds, tmp_path):
    source = demo.open_data(tmp_path / "out", folds)
    scene = demo.make_scene(source)
    demo.write_scene(tmp_path / "out", scene)
    manifest = read_manifest(tmp_path / "out" / "scene.csv")
    assert [clip.label for clip in manifest.clips] == [(event.label,) for event in scene.truth]
    assert [clip.onset for clip in manifest.clips] == pytest.approx([event.onset for event in scene.truth], abs=1e-4)


def test_labels_groups_and_segments_survive_the_table_with_quiet_clips(tiny, folds, tmp_path):
    table = folds / "clips.csv"
    with table.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    part = [("group", "split", "onset", "offset"), *(("", "", "0.25", "0.75") for _ in rows[1:])]
    for i, cells in enumerate(part[1:], 1):
        part[i] = (f"g{i}", "test" if i % 3 == 0 else "train", *cells[2:])
    table.write_text("".join(",".join([row[0], row[2], *cells]) + "\n" for row, cells in zip(rows, part, strict=True)))
    before = read_manifest(table)
    source = demo.open_data(tmp_path / "out", table)
    kept = [clip for clip in source.manifest.clips if not clip.negative]
    for old, new in zip(before.clips, kept, strict=True):
        assert (new.label, new.split, new.group, new.onset, new.offset) == (
            *(old.label, old.split, old.group, old.onset, old.offset),
        )
    assert source.test_fold is None
    assert {clip.split for clip in source.manifest.clips if clip.negative} == {"train"}


def test_data_with_negatives_is_taken_as_it_is(tiny, tmp_path):
    for part in ("train", "test"):
        synthesise(tmp_path / "data" / part, clips_per_class=2, clip_s=0.5)
    source = demo.open_data(tmp_path / "out", tmp_path / "data")
    assert source.manifest.root == tmp_path / "data"
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_else_is_left_alone(auricle, tmp_path):
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("ten years")
    done = auricle("demo", "--out", out)
    assert done.code == 2
    assert "holds other things than a demo (thesis.txt); choose another folder" in done.err
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_what_a_user_put_beside_stays(tmp_path):
    demo.acquire_folder(tmp_path / "out", None)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "model").mkdir()
    demo.acquire_folder(tmp_path / "out", None)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {demo.MARK, "notes.txt"}


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "kept").touch()
    demo.acquire_folder(tmp_path / "out", None)
    (tmp_path / "out" / "data").symlink_to(target)
    demo.acquire_folder(tmp_path / "out", None)
    assert (target / "kept").exists()
    assert not (tmp_path / "out" / "data").is_symlink()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file; --out takes a folder"):
        demo.acquire_folder(tmp_path / "file", None)


def test_data_inside_the_folder_would_be_lost(tmp_path):
    (tmp_path / "out" / "clips").mkdir(parents=True)
    with pytest.raises(UsageError, match="lies in the folder of the demo"):
        demo.acquire_folder(tmp_path / "out", tmp_path / "out" / "clips")


def test_data_that_holds_nothing_out_is_refused(tmp_path):
    data = synthesise(tmp_path / "data", clips_per_class=2, clip_s=0.5)
    with pytest.raises(UsageError, match="neither folds nor a part 'test'"):
        demo.open_data(tmp_path / "out", data)


def test_arrays_are_refused(tmp_path):
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", np.zeros(16_000, np.float32))
    (tmp_path / "clips.csv").write_text("path,label,fold\n0.npy,dog,1\n1.npy,cat,2\n")
    (tmp_path / "features.json").write_text('{"kind": "waveform", "sample_rate": 16000}')
    with pytest.raises(UsageError, match="holds arrays; the demo wants recordings"):
        demo.open_data(tmp_path / "out", tmp_path / "clips.csv")


@pytest.mark.slow
def test_an_interrupted_demo_says_that_it_begins_anew(auricle, tiny, tmp_path, monkeypatch):
    def stop(*_args, **_options):
        raise Interrupted("stopped at step 3; continue with --resume", 143)

    monkeypatch.setattr("auricle.api.train", stop)
    done = auricle("demo", "--out", tmp_path / "out")
    assert done.code == 143
    assert done.err == "auricle: the demo was stopped; run it again, it begins anew\n"


def test_the_silence_around_a_sound_is_cut_off():
    sound = np.zeros(16_000, np.float32)
    sound[4_000:8_000] = 0.5
    assert np.array_equal(demo.sounding_part(sound), sound[4_000:8_000])
    faint = sound + 0.5 * 10 ** (-50 / 20)  # 50 dB below: as good as silence
    assert len(demo.sounding_part(faint)) == 4_000
    assert np.array_equal(demo.sounding_part(sound[:100]), sound[:100])
    assert len(demo.sounding_part(np.zeros(1_600, np.float32))) == 1_600
