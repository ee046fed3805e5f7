# SPDX-License-Identifier: Apache-2.0
"""What a model says near its own verdicts is measured by fits that did not see them, and every verdict counts."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
import soundfile
from helpers.studios import RATE, beeps

from auricle.enrolment.backbone import open_backbone
from auricle.results import Event
from auricle.runtime.detector import load
from auricle.runtime.inputs import Excerpt
from auricle.studio.database import VERSION, Database
from auricle.studio.held_out import CONTEXT_S, HeldOut
from auricle.studio.project import OWN_FOLDER, Studio
from auricle.studio.selection import NO, UNSEEN, YES
from auricle.studio.teaching import HEADS, Region, _folds_of, load_heads


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A folder with beeps (2 kHz, wanted) and tones of 500 Hz (refused), taught and detected, open."""
    folder = tmp_path_factory.mktemp("tones")
    for number in range(4):
        soundfile.write(folder / f"beep{number}.wav", beeps(6, [2], seed=number), RATE)
        soundfile.write(folder / f"tone{number}.wav", beeps(6, [2], hz=500, seed=9 + number), RATE)
    long = beeps(70, [5, 30, 65], seed=20) + beeps(70, [15, 50], hz=500, seed=21)
    soundfile.write(folder / "long.wav", long, RATE)
    with Studio(folder, by="ann") as studio:
        studio.index()
        for number in range(3):
            studio.label(f"beep{number}.wav", 2.0, 2.5, "beep")
            studio.label(f"tone{number}.wav", 2.0, 2.5, "beep", "no", source="review")
        studio.label("long.wav", 5.0, 5.5, "beep")
        studio.teach()
        studio.detect()
        yield studio


def heads_of(studio):
    sha256 = load(studio.out).spec.sha256["model.onnx"]
    return load_heads(studio.folder / OWN_FOLDER / HEADS, sha256, open_backbone().sha256)


def measured(studio):
    return studio._detections.of(studio.labels(), "beep", measured=True)


def test_far_from_verdicts_the_model_itself_is_measured_and_near_them_it_is_not(taught):
    shown, held_out = taught.detections("beep"), measured(taught)
    known = {(number, block) for number, block in heads_of(taught).frame_fold_of}

    def far(found):
        return [x for x in found if (x["recording"], int((x["onset"] + x["offset"]) / 2 // 20)) not in known]

    assert far(shown) == far(held_out) != []
    assert {x["path"] for x in far(shown)} <= {"beep3.wav", "tone3.wav", "long.wav"}
    near = [[x for x in found if x not in far(found)] for found in (shown, held_out)]
    assert [x["path"] for x in near[0]] == ["beep0.wav", "beep1.wav", "beep2.wav", "long.wav"]
    assert {x["path"] for x in near[1]} >= {"beep0.wav", "beep1.wav", "beep2.wav", "long.wav"}
    scores = [{x["path"]: x["score"] for x in found} for found in near]
    assert scores[0] != scores[1], "another fit"


def test_scores_near_verdicts_are_those_of_a_fit_without_them(taught):
    heads, recording = heads_of(taught), taught.recording("long.wav")
    fold = heads.frame_fold_of[(recording.id, 0)]
    backbone = open_backbone()
    samples, _ = soundfile.read(recording.file, dtype="float32")
    _, frames = backbone.vectors(samples)
    values = heads.frames_by_fold[fold].scores(frames, heads.task)[:, 0]
    (found,) = [x for x in measured(taught) if x["path"] == "long.wav" and x["offset"] < 20]
    times = (np.arange(len(values)) + 0.5) * backbone.step_s
    inside = values[(times >= found["onset"]) & (times <= found["offset"])]
    assert found["score"] == pytest.approx(inside.max(), abs=0.05)  # behind a median filter


def test_verdicts_that_were_taught_count(taught):
    candidates = taught._detections.candidates(measured(taught))
    assert (candidates.verdict == YES).sum() == 4
    assert (candidates.verdict == UNSEEN).sum() >= 2
    found = taught.detections("beep", "stratified")
    assert sum(item["verdict"] == "yes" for item in found) == 4


def test_a_false_alarm_that_was_refused_is_still_measured(taught, monkeypatch):
    """The model does not make it again; a fit that was not told so does, and the verdict says that it is one."""
    model, recording = taught._model, taught.recording("tone0.wav")
    alarm = Event("beep", 2.0, 2.5, 0.9)
    monkeypatch.setattr(HeldOut, "detect", lambda _self, of, *_: [alarm] if of.id == recording.id else [])
    heads, detector = model.heads, load(taught.out)
    held_out = HeldOut(heads, detector, taught._backbone, taught._sounds)
    before = taught.detections("beep")
    taught._detections.run(_Job(), detector, model.number, [recording], held_out)
    assert [x for x in taught.detections("beep") if x["path"] == "tone0.wav"] == []
    (found,) = [x for x in measured(taught) if x["path"] == "tone0.wav"]
    assert (found["score"], found["verdict"]) == (0.9, "no")
    assert taught._detections.candidates([found]).verdict.tolist() == [NO]
    assert taught._detections.count("beep") == len(before), "what is measured alone is not counted"


class _Job:
    done = 0

    class stopped:
        @staticmethod
        def is_set() -> bool:
            return False


def test_blocks_side_by_side_are_read_at_once_with_sound_around_them(taught, monkeypatch):
    heads, recording = heads_of(taught), taught.recording("long.wav")
    folds = {(recording.id, 0): 1, (recording.id, 1): 1, (recording.id, 3): 0, (99, 2): 0}
    held_out = HeldOut(
        type(heads)(**{**{n: getattr(heads, n) for n in heads.__dataclass_fields__}, "frame_fold_of": folds}),
        load(taught.out),
        taught._backbone,
        taught._sounds,
    )
    assert held_out._stretches(recording.id) == [(0, 1, 1), (3, 3, 0)]
    assert held_out.knows(recording.id, Event("beep", 39.0, 40.8, 1.0))
    assert not held_out.knows(recording.id, Event("beep", 39.0, 41.2, 1.0))
    parts = []
    for detector in held_out._detectors:
        monkeypatch.setattr(detector, "detect", lambda part, **_: parts.append(part) or _Found())
    found = held_out.detect(recording, {}, lambda _: None)
    assert parts == [
        Excerpt(recording.file, 0.0, 40.0 + CONTEXT_S),
        Excerpt(recording.file, 60.0 - CONTEXT_S, 20.0 + 2 * CONTEXT_S),
    ]
    assert [(event.onset, event.label) for event in found] == [(1.0, "beep"), (61.0, "beep")], "context gives none"


class _Found:
    events = (Event("beep", 1.0, 1.5, 0.9), Event("beep", 45.0, 45.5, 0.9), Event("beep", 61.0, 61.5, 0.9))


def test_a_region_over_the_edge_of_a_block_is_known_in_both():
    regions = [Region(1, 19.0, 21.0, ("a",)), Region(1, 25.0, 26.0, ("a",)), Region(2, 39.5, 40.5, ())]
    folds = np.array([0, 1, 2])
    assert _folds_of(regions, folds) == {(1, 0): 0, (1, 1): 1, (2, 1): 2, (2, 2): 2}
    assert Region(1, 19.0, 20.0, ()).blocks == [(1, 0)]


def test_a_file_of_version_1_is_brought_up_to_date(tmp_path):
    path = tmp_path / "p.sqlite"
    Database(path).close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript("ALTER TABLE detections DROP COLUMN use; PRAGMA user_version=1;")
        file.execute("INSERT INTO recordings (id, path, name, size, mtime_ns) VALUES (1, 'a', 'a', 1, 1)")
        file.execute("INSERT INTO detections VALUES (1, 0.0, 1.0, 'owl', 0.5, NULL)")
        file.commit()
    database = Database(path)
    assert database.value("PRAGMA user_version") == VERSION
    assert [tuple(row) for row in database.rows("SELECT label, use FROM detections")] == [("owl", "both")]
    database.close()
