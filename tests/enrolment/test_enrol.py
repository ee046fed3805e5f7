# SPDX-License-Identifier: Apache-2.0
"""``auricle enrol``: a few clips become a model in seconds; classes come and go; what is wrong is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import auricle
from auricle import api
from auricle.cli.main import main
from auricle.enrolment.backbone import open_backbone
from auricle.enrolment.bank import load_bank
from auricle.errors import DataError, RunError, UsageError
from auricle.runtime.bundle import load_bundle, trained_clips
from auricle.synth.toy import make_clip

RATE = 16_000
CLASSES = ("chirp", "siren", "clicks")


def write_clips(folder: Path, classes=CLASSES, *, clips: int = 4, first: int = 0, seconds: float = 1.5) -> Path:
    for number, label in enumerate(classes):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + clips):
            sound = make_clip(
                "other" if label == "_negative_" else label,
                clip_s=seconds,
                sample_rate=RATE,
                generator=np.random.default_rng([number, len(label), i]),
            )
            soundfile.write(folder / label / f"{label}-{i}.wav", sound, RATE)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def enrolled(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mine"
    return auricle.enrol(clips, out=out)


def first_of(model, path) -> str:
    return auricle.load(model).tag(path).scores[0].label


def test_new_clips_are_named_and_other_sounds_are_not(enrolled, tmp_path):
    new = write_clips(tmp_path / "new", clips=5, first=100)
    paths = sorted(new.rglob("*.wav"))
    detector = auricle.load(enrolled.path)
    right = sum(detector.tag(path).scores[0].label == path.parent.name for path in paths)
    assert right >= 13, right
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert detector.tag(noise, RATE).scores[0].score < 0.5
    assert not detector.detect(np.tile(noise, 5), RATE).events


def test_it_says_when(enrolled):
    """A siren of 1.5 s in ten seconds of faint noise is one event, where it is."""
    rng = np.random.default_rng(1)
    scene = 0.001 * rng.standard_normal(10 * RATE).astype(np.float32)
    siren = make_clip("siren", clip_s=1.5, sample_rate=RATE, generator=np.random.default_rng(77))
    scene[4 * RATE : round(5.5 * RATE)] += siren
    events = auricle.load(enrolled.path).detect(scene, RATE).events
    (event,) = [e for e in events if e.label == "siren"]
    assert event.onset == pytest.approx(4, abs=0.4)
    assert event.offset == pytest.approx(5.5, abs=0.4)
    assert {e.label for e in events} == {"siren"}


def test_the_result_says_what_few_clips_can(enrolled):
    assert (enrolled.labels, enrolled.clips, enrolled.negatives) == (tuple(sorted(CLASSES)), 12, 0)
    for row in enrolled.classes:
        assert row["clips"] == row["recall"].n == 4
        assert row["recall"].low < row["recall"].value <= row["recall"].high
        assert 0 < row["threshold"] < 1
    assert enrolled.failures == {}
    assert enrolled.warnings == (
        "few recordings of chirp (4), clicks (4), siren (4): look at the intervals, not at the figures; "
        "add more with --add",
    )
    shown = json.loads(json.dumps(enrolled.to_dict()))
    assert set(shown["classes"][0]["recall"]) == {"value", "low", "high", "n"}


def test_the_folder_is_a_model_like_any_other(enrolled, clips):
    bundle = load_bundle(enrolled.path)
    assert bundle.spec.labels == enrolled.labels
    assert (bundle.spec.task, bundle.spec.negatives) == ("single", True)
    assert set(trained_clips(bundle).values()) == {"train"}
    assert bundle.spec.provenance.data_form == "enrolled"
    report = auricle.evaluate(clips, model=enrolled.path)
    assert report.details["trained_on"] == 12, "evaluate knows these clips"
    assert report.metrics["accuracy"].value > 0.9


def test_the_same_clips_give_the_same_model(enrolled, clips, tmp_path):
    again = auricle.enrol(clips, out=tmp_path / "mine")
    assert (Path(again.path) / "model.onnx").read_bytes() == (Path(enrolled.path) / "model.onnx").read_bytes()


def test_a_class_is_added_and_taken_out(enrolled, clips, tmp_path):
    model = shutil.copytree(enrolled.path, tmp_path / "mine")
    more = write_clips(tmp_path / "more", ("buzz", "chirp"), first=50)
    added = auricle.enrol(more, out=model, add=True)
    assert added.labels == ("buzz", "chirp", "clicks", "siren")
    assert {row["label"]: row["clips"] for row in added.classes} == {"buzz": 4, "chirp": 8, "clicks": 4, "siren": 4}
    assert first_of(model, more / "buzz" / "buzz-50.wav") == "buzz"
    once_more = auricle.enrol(more, out=model, add=True)
    assert once_more.clips == added.clips, "a clip counts once"
    removed = auricle.enrol(out=model, remove=["buzz", "chirp/chirp-50.wav"])
    assert removed.labels == enrolled.labels
    assert {row["label"]: row["clips"] for row in removed.classes} == {"chirp": 7, "clicks": 4, "siren": 4}


def test_adding_all_is_enrolling_all(enrolled, clips, tmp_path):
    part = write_clips(tmp_path / "part", CLASSES[:1])
    model = tmp_path / "mine"
    auricle.enrol(part, out=model)
    auricle.enrol(clips, out=model, add=True)
    detector, whole = auricle.load(model), auricle.load(enrolled.path)
    for path in sorted(clips.rglob("*.wav"))[:4]:
        mine = {s.label: s.score for s in detector.tag(path).scores}
        for score in whole.tag(path).scores:
            assert mine[score.label] == pytest.approx(score.score, abs=0.02)


def test_a_model_of_one_class_knows_what_else_there_is(tmp_path, clips):
    one = write_clips(tmp_path / "one", ("siren",), clips=5)
    result = auricle.enrol(one, out=tmp_path / "m")
    detector = auricle.load(result.path)
    others = sorted((clips / "clicks").iterdir()) + sorted((clips / "chirp").iterdir())
    assert all(detector.tag(path).scores[0].score < 0.5 for path in others)
    assert detector.tag(clips / "siren" / "siren-0.wav").scores[0].score > 0.5


def test_own_negatives_are_none_of_the_classes(tmp_path, clips):
    """A buzz is taken for a siren less often by a model that was given buzzes as negatives."""
    one = write_clips(tmp_path / "one", ("siren",), clips=4)
    buzzes = write_clips(tmp_path / "buzz", ("buzz",), clips=6)
    without = auricle.enrol(one, out=tmp_path / "a")
    having = auricle.enrol(one, out=tmp_path / "b", negatives=[buzzes])
    assert (having.clips, having.negatives) == (10, 6)
    new = write_clips(tmp_path / "new", ("buzz",), clips=6, first=90)
    mean = [
        np.mean([auricle.load(r.path).tag(path).scores[0].score for path in sorted(new.rglob("*.wav"))])
        for r in (without, having)
    ]
    assert mean[1] <= mean[0]
    again = auricle.enrol(out=tmp_path / "a", add=True, negatives=[buzzes])
    assert again.negatives == 6


def test_a_negative_folder_in_the_data_is_no_class(tmp_path):
    data = write_clips(tmp_path / "data", ("siren", "_negative_"))
    result = auricle.enrol(data, out=tmp_path / "m")
    assert (result.labels, result.negatives) == (("siren",), 4)


def test_labels_that_say_when_are_enrolled_event_by_event(tmp_path):
    scene = 0.001 * np.random.default_rng(0).standard_normal(20 * RATE)
    rows = ["path,label,onset,offset"]
    for i, onset in enumerate((2, 9, 15)):
        for shift, label in enumerate(("siren", "clicks")):
            sound = make_clip(label, clip_s=1.0, sample_rate=RATE, generator=np.random.default_rng([i, shift]))
            start = onset + 1.5 * shift
            scene[round(start * RATE) : round((start + 1) * RATE)] += sound
            rows.append(f"scene.wav,{label},{start},{start + 1}")
    soundfile.write(tmp_path / "scene.wav", scene, RATE)
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    result = auricle.enrol(tmp_path / "clips.csv", out=tmp_path / "m")
    assert {row["label"]: row["clips"] for row in result.classes} == {"clicks": 3, "siren": 3}


def test_what_cannot_be_read_is_named_and_the_rest_is_enrolled(tmp_path, capsys):
    data = write_clips(tmp_path / "data", ("siren", "chirp"), clips=3)
    (data / "siren" / "broken.wav").write_bytes(b"RIFF" + bytes(40))
    with pytest.raises(SystemExit) as caught:
        main(["enrol", str(data), "--out", str(tmp_path / "m"), "--format", "json"])
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    shown = json.loads(out)
    assert list(shown["failures"]) == ["siren/broken.wav"]
    assert "auricle: siren/broken.wav: " in err
    assert "auricle: 1 recording could not be used; the model is made of the others" in err
    assert shown["clips"] == 6


def test_the_command_line_prints_a_table_and_what_comes_next(clips, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["enrol", str(clips), "--out", str(tmp_path / "mine")])
    assert caught.value.code in (0, None)
    out = capsys.readouterr().out
    assert "recall [95 %]" in out
    assert "warning: few recordings of chirp (4)" in out
    assert out.endswith(f"next: auricle detect RECORDING --model {tmp_path}/mine\n")


def test_a_class_of_which_nothing_can_be_read_is_refused(tmp_path):
    data = write_clips(tmp_path / "data", ("siren", "chirp"), clips=2)
    for path in (data / "chirp").iterdir():
        soundfile.write(path, np.zeros(RATE), RATE)
    with pytest.raises(DataError, match=r"no clip of chirp can be used; 2 could not be read: .* is digital silence"):
        api.enrol(data, out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, UsageError, "no CLIPS: give a folder with a folder of clips for each class, or a table"),
        ({"add": True}, UsageError, "--add without CLIPS: give the clips to add, or --negatives FOLDER"),
        ({"add": True, "clips": "CLIPS"}, RunError, "does not exist: there is no model to change"),
        ({"remove": ["dog"], "clips": "CLIPS"}, UsageError, "--remove with CLIPS: say --add too"),
        ({"clips": "CLIPS", "negatives": ["nowhere"]}, DataError, "nowhere cannot be read as negatives"),
    ],
)
def test_wrong_use_is_told_apart(clips, tmp_path, options, kind, message):
    if options.get("clips") == "CLIPS":
        options = {**options, "clips": clips}
    with pytest.raises(kind, match=message):
        api.enrol(out=tmp_path / "m", **options)


def test_a_folder_that_holds_something_is_kept(enrolled, clips, tmp_path):
    with pytest.raises(RunError, match=r"is not empty \(it holds .*\); choose a new folder"):
        api.enrol(clips, out=enrolled.path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.txt").write_text("mine")
    with pytest.raises(RunError, match=r"note\.txt"):
        api.enrol(clips, out=other, overwrite=True)
    replaced = api.enrol(
        write_clips(tmp_path / "two", ("buzz",)), out=shutil.copytree(enrolled.path, tmp_path / "re"), overwrite=True
    )
    assert auricle.load(replaced.path).labels == ("buzz",)


def test_what_is_not_there_cannot_be_taken_out(enrolled, tmp_path):
    with pytest.raises(UsageError, match=r"--remove dgo: .* has no such class or clip; it has the classes: chirp"):
        api.enrol(out=enrolled.path, remove=["dgo"])
    with pytest.raises(DataError, match="no class is left"):
        api.enrol(out=shutil.copytree(enrolled.path, tmp_path / "copy"), remove=CLASSES)


def test_only_enrolled_models_can_be_changed(clips):
    with pytest.raises(RunError, match="was not made by `auricle enrol`"):
        api.enrol(clips, out=Path(api.__file__).parent / "bundles" / "esc10", add=True)


def test_no_torch_and_no_onnx_package_is_needed(clips, tmp_path):
    code = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "safetensors", "sklearn"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
import auricle
print(auricle.enrol(sys.argv[1], out=sys.argv[2]).clips)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(clips), str(tmp_path / "m")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "12"


@pytest.mark.slow
def test_weights_go_into_training(enrolled, tmp_path):
    """`train --init` begins with an enrolled model as with any other."""
    data = write_clips(tmp_path / "data", CLASSES, clips=4, first=20)
    network = load_bundle(enrolled.path).spec.model
    overrides = [f"model.residuals={list(network.residuals)}", "optim.epochs=1", "data.workers=0"]
    result = auricle.train(data, out=tmp_path / "trained", model="mobilenet", init=enrolled.path, overrides=overrides)
    assert result.finished


def test_the_bank_is_that_of_the_built_in_model():
    assert load_bank(open_backbone().sha256).backbone == open_backbone().sha256
