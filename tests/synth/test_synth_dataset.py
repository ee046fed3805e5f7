# SPDX-License-Identifier: Apache-2.0
"""``auricle data synth CLIPS``: no leak, equal bytes, the truth of the tables, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from auricle.cli.main import app
from auricle.data.check.dataset import check
from auricle.data.formats.registry import read_manifest
from auricle.errors import DataError, RunError, UsageError
from auricle.synth.dataset import ScenePart, make_soundscapes, parse_part
from auricle.synth.scenes import SceneRules

RATE = 8_000
RULES = SceneRules(scene_s=1.0, sample_rate=RATE, events=(1, 3), background_db=(-50, -50), snr_db=(30, 30))
PARTS = [ScenePart("train", ("1", "2"), 5), ScenePart("test", ("3",), 3)]


@pytest.fixture
def clips(tmp_path):
    """Four classes in three folds: 0.1 s of a tone in 0.5 s of silence; ``mute`` never sounds."""
    rows = ["path,label,fold,group"]
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, label in enumerate(("dog", "cat", "wind", "mute")):
        for fold in (1, 2, 3):
            wave = np.zeros(RATE // 2)
            if label != "mute":
                wave[1_600:2_400] = 0.3 * np.sin(2 * np.pi * (500 + 400 * number + 30 * fold) * np.arange(800) / RATE)
            name = f"{label}{fold}.wav"
            soundfile.write(folder / name, wave, RATE, subtype="PCM_16")
            rows.append(f"{name},{label},{fold},{label}{fold}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_set_reads_as_strong_labels_that_are_true(clips, tmp_path):
    out = tmp_path / "out"
    report = make_soundscapes(read_manifest(clips), out, PARTS, RULES)
    assert report.scenes == {"train": 5, "test": 3}
    assert sorted(report.failures) == ["mute1.wav", "mute2.wav", "mute3.wav"]
    manifest = read_manifest(out)
    assert (manifest.format, manifest.strong, len(manifest)) == ("desed", 8, 8)
    assert [clip.split for clip in manifest.clips] == ["train"] * 5 + ["test"] * 3
    assert sum(len(clip.events) for clip in manifest.clips) == sum(report.events.values())
    assert check(out).ok
    for clip in manifest.clips:
        assert clip.duration == 1.0
        samples, rate = soundfile.read(clip.path)
        assert rate == RATE
        # The tables against the sound itself, which is 30 dB louder inside of events than outside.
        sounding = np.zeros(RATE, bool)
        for event in clip.events:
            begin, end = round(event.onset * RATE), round(event.offset * RATE)
            sounding[begin:end] = True
            assert np.abs(samples[begin : begin + 100]).max() > 0.05
            assert np.abs(samples[end - 100 : end]).max() > 0.05
        assert np.abs(samples[~sounding]).max() < 0.03
        assert all(abs(event.offset - event.onset - 0.1) < 1e-5 for event in clip.events)


def test_no_clip_is_in_two_parts(clips, tmp_path):
    make_soundscapes(read_manifest(clips), tmp_path / "out", PARTS, RULES)
    sources: dict[str, set[str]] = {"train": set(), "test": set()}
    for line in (tmp_path / "out" / "scenes.jsonl").read_text().splitlines():
        scene = json.loads(line)
        sources[scene["part"]] |= {event["source"] for event in scene["events"]}
    assert not sources["train"] & sources["test"]
    assert {name[-5] for name in sources["train"]} == {"1", "2"}
    listed = (tmp_path / "out" / "scenes.csv").read_text().splitlines()
    assert listed[0] == "filename,split,sources"
    assert len(listed) == 9


def test_equal_seeds_give_equal_bytes_for_any_number_of_processes(clips, tmp_path):
    manifest = read_manifest(clips)
    rules = SceneRules(**{**RULES.__dict__, "room_share": 0.5, "backgrounds": ("wind",)})
    make_soundscapes(manifest, tmp_path / "a", PARTS, rules)
    make_soundscapes(manifest, tmp_path / "b", PARTS, rules, jobs=2)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 8 + 5
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    other = SceneRules(**{**rules.__dict__, "seed": 1})
    make_soundscapes(manifest, tmp_path / "c", PARTS, other)
    assert (tmp_path / "c" / "events.tsv").read_bytes() != (tmp_path / "a" / "events.tsv").read_bytes()


def test_a_group_in_two_parts_stops(clips, tmp_path):
    table = clips / "clips.csv"
    table.write_text(table.read_text().replace("dog3.wav,dog,3,dog3", "dog3.wav,dog,3,dog1"))
    with pytest.raises(DataError, match=r"1 groups stand on two sides.*group dog1 in test and train"):
        make_soundscapes(read_manifest(clips), tmp_path / "out", PARTS, RULES)


@pytest.mark.parametrize(
    ("parts", "rules", "text"),
    [
        ([ScenePart("train", ("9",), 1)], {}, "part train: the clips have no fold or part '9'; known: 1, 2, 3"),
        (
            [ScenePart("a", ("1",), 1), ScenePart("a", ("2",), 1)],
            {},
            "part 'a' was asked for twice; name each part once",
        ),
        (PARTS, {"backgrounds": ("rain",)}, "background 'rain' is no class of the clips .*known: cat, dog, mute, wind"),
    ],
)
def test_wrong_use(clips, tmp_path, parts, rules, text):
    with pytest.raises(UsageError, match=text):
        make_soundscapes(read_manifest(clips), tmp_path / "out", parts, SceneRules(**{**RULES.__dict__, **rules}))


def test_nothing_to_make_scenes_of(clips, tmp_path):
    rules = SceneRules(**{**RULES.__dict__, "backgrounds": ("dog", "cat", "wind")})
    with pytest.raises(DataError, match="part train: no clip with one class that is no background can be used; first:"):
        make_soundscapes(read_manifest(clips), tmp_path / "out", PARTS, rules)


def test_a_full_folder_is_refused(clips):
    with pytest.raises(RunError, match="is not empty"):
        make_soundscapes(read_manifest(clips), clips, PARTS, RULES)


@pytest.mark.parametrize("text", ["train", "train=1", "train=:5", "train=1:0", "=1:5", "a b=1:5", "train=1:x"])
def test_a_part_that_cannot_be_read(text):
    with pytest.raises(UsageError, match="expected NAME=FOLDS:COUNT, such as train=1,2,3:1000"):
        parse_part(text)


def test_the_command(clips, tmp_path):
    runner = CliRunner()
    common = ["data", "synth", str(clips), "--rate", "8000", "--seconds", "1", "--quiet"]
    made = runner.invoke(
        app, [*common, "--out", str(tmp_path / "o"), "--part", "dev=1:2", "--events", "2", "--snr=5,9"]
    )
    assert made.exit_code == 1  # the mute clips
    assert "dev: 2 scenes, 4 events" in made.stdout
    assert json.loads((tmp_path / "o" / "synth.json").read_text())["rules"]["snr_db"] == [5.0, 9.0]
    nothing = runner.invoke(app, ["data", "synth", "--out", str(tmp_path / "p"), "--part", "dev=1:2"])
    assert nothing.exit_code == 2
    assert "--part makes scenes of clips, and no clips are named: auricle data synth CLIPS ..." in nothing.stderr
    for option, text in (("--events=x", "expected MIN-MAX, such as 1-6"), ("--snr=9,5", "expected LOW,HIGH in dB")):
        refused = runner.invoke(app, [*common, "--out", str(tmp_path / "p"), option])
        assert refused.exit_code == 2
        assert text in refused.stderr
