# SPDX-License-Identifier: Apache-2.0
"""A project over days: recordings that come, go, change or cannot be read, two studios, kills, and its model."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading

import httpx
import numpy as np
import pytest
import soundfile
from helpers.serving import wait_for
from helpers.studios import RATE, beeps, replayed, stored

import auricle
from auricle.data.formats.registry import read_manifest
from auricle.enrolment.backbone import open_backbone
from auricle.errors import InputError, RunError, UsageError
from auricle.studio.index import VECTORS, permanent_keys
from auricle.studio.jobs import YIELDED, Job
from auricle.studio.labels import Label
from auricle.studio.project import OWN_FOLDER, BusyError, Studio, UnknownItemError
from auricle.studio.selection import NO, UNSEEN, UNSURE, YES
from auricle.studio.sounds import SoundCache
from auricle.studio.teaching import Region, TooFewError, load_heads, regions_of
from auricle.studio.tiles import TileCache, make_tile
from auricle.studio.verdicts import verdicts_on


def test_a_second_studio_on_the_same_folder_is_refused_with_the_reason(studio, folder):
    with pytest.raises(RunError, match=rf"is open in another studio, or cannot be used: .* process {os.getpid()} on"):
        Studio(folder)
    studio.close()
    Studio(folder).close()


def test_what_is_no_folder_of_recordings_is_refused(tmp_path):
    with pytest.raises(RunError, match="does not exist; give a folder of recordings"):
        Studio(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(RunError, match="is a file; give a folder of recordings"):
        Studio(tmp_path / "a.txt")
    with pytest.raises(RunError, match=r"holds no recording|no recording"):
        Studio(tmp_path)


def test_recordings_keep_their_numbers_and_labels_when_others_come_and_go(folder):
    with Studio(folder) as found:
        number = found.recording("b.wav").id
        found.label("b.wav", 3.0, 3.5, "beep")
    (folder / "a.wav").unlink()
    soundfile.write(folder / "0.wav", beeps(3, [1]), RATE)
    with Studio(folder) as found:
        assert [r.path for r in found.recordings()] == ["0.wav", "b.wav", "deep/c.flac"]
        assert found.recording("b.wav").id == number
        assert [label.path for label in found.labels()] == ["b.wav"]
        with pytest.raises(InputError, match=r"a.wav is not in the folder any more"):
            found.recording("a.wav")


def test_a_recording_that_vanished_or_changed_is_said_and_its_labels_stay(folder):
    with Studio(folder) as found:
        found.index()
        found.label("a.wav", 1.0, 1.5, "beep")
        found.label("b.wav", 3.0, 3.5, "beep")
    (folder / "a.wav").unlink()
    soundfile.write(folder / "b.wav", beeps(5, [2]), RATE)
    with Studio(folder) as found:
        assert [(p["path"], p["code"]) for p in found.problems()] == [("a.wav", "vanished"), ("b.wav", "changed")]
        assert len(found.labels()) == 2
        assert found.state()["indexed"] == {"done": 6, "total": 11}  # the old vectors of b.wav went
        found.index()
        assert found.state()["indexed"] == {"done": 11, "total": 11}
        assert [label.path for label in found.labels(verdict="yes")] == ["a.wav", "b.wav"]
        assert found.cut_out()["skipped"][0]["code"] == "vanished"


def test_a_recording_that_vanishes_while_the_studio_is_open(studio, folder):
    (folder / "a.wav").unlink()
    studio.index()
    assert [r.path for r in studio.recordings()] == ["b.wav", "deep/c.flac"]
    with pytest.raises(InputError):
        studio.recording("a.wav")


def test_recordings_that_cannot_be_read_are_named_and_counted(folder):
    (folder / "bad.wav").write_bytes(b"RIFF" + bytes(60))
    (folder / "empty.flac").write_bytes(b"")
    with Studio(folder) as found:
        assert [p["path"] for p in found.problems()] == ["bad.wav", "empty.flac"]
        assert found.problems()[1]["code"] == "empty_file"
        state = found.state()
        assert (state["recordings"], state["problems"]) == (3, 2)
        with pytest.raises(InputError, match=r"empty\.flac: "):
            found.recording("empty.flac")


def test_odd_names_go_all_the_way(folder):
    soundfile.write(folder / "plain.wav", beeps(3, [1]), RATE)
    odd = os.fsencode(str(folder)) + b"/n\xff '\"; DROP TABLE.wav"
    os.rename(folder / "plain.wav", odd)  # noqa: PTH104 (bytes)
    soundfile.write(folder / "Ünï 雨\n.wav", beeps(3, [1]), RATE)
    with Studio(folder) as found:
        found.index()
        paths = [r.path for r in found.recordings()]
        assert "n\\xff '\"; DROP TABLE.wav" in paths
        for path in paths:
            found.label(path, 1.0, 1.5, "beep")
        assert found.cut_out()["files"] == len(paths) == 5
        for format in ("csv", "json", "raven", "audacity"):
            assert found.export(format)
        assert found.tile(paths[-1], 0, 1, 10)
        assert {item["path"] for item in found.search("beep", 20)} <= set(paths)


def test_names_that_are_nearly_right_are_suggested(studio):
    with pytest.raises(UnknownItemError, match=r"no recording a\.waw \(did you mean 'a.wav'\?\)"):
        studio.recording("a.waw")


def test_vectors_are_those_of_the_windows(studio, folder):
    studio.index()
    windows = studio._index.windows()
    assert windows.onset[:3].tolist() == [0, 1, 2]
    assert windows.offset[:3].tolist() == [2, 3, 4]
    assert len(windows) == 11 + 7 + 5
    samples, _ = soundfile.read(folder / "a.wav", dtype="float32")
    expected = open_backbone().clip_vector(samples[3 * RATE : 5 * RATE])
    assert np.allclose(studio._index.vectors(windows, np.array([3]))[0], expected, atol=2e-2, rtol=2e-3)


def test_an_index_that_was_stopped_goes_on_where_it_was(folder, monkeypatch):
    monkeypatch.setattr("auricle.studio.index._BATCH", 3)
    with Studio(folder) as found:
        stopped = threading.Event()
        enter = found._index._enter
        monkeypatch.setattr(found._index, "_enter", lambda *a: (enter(*a), stopped.set()))
        found._index.extend(stopped)
        done = found.state()["indexed"]["done"]
        assert 0 < done < 26
    with (folder / OWN_FOLDER / VECTORS).open("ab") as file:
        file.write(b"torn by a kill")
    with Studio(folder) as found:
        assert found.state()["indexed"]["done"] == done
        found.index()
        windows = found._index.windows()
        resumed = found._index.vectors(windows)
    with Studio(folder, database=folder.parent / "other.sqlite") as found:
        found.index()
        assert np.allclose(found._index.vectors(found._index.windows()), resumed, atol=0.02)


def test_keys_are_permanent_and_even():
    keys = permanent_keys(b"a.wav", np.arange(10_000))
    assert np.array_equal(keys[5:9], permanent_keys(b"a.wav", np.arange(5, 9)))
    assert abs(keys.mean() - 0.5) < 0.01
    assert np.histogram(keys, 10, (0, 1))[0].min() > 900
    assert not np.array_equal(keys, permanent_keys(b"b.wav", np.arange(10_000)))


def label(onset, offset, verdict="yes", name="owl", recording=1, number=1):
    return Label(recording, onset, offset, name, verdict, id=number)


def test_what_verdicts_say_about_windows():
    onset = np.array([0.0, 1.0, 2.0, 3.0, 0.0])
    owner = np.array([1, 1, 1, 1, 2])

    def said(*labels):
        return verdicts_on(owner, onset, onset + 2, labels)[0].tolist()

    assert said(label(3.2, 3.5)) == [UNSEEN, UNSEEN, YES, YES, UNSEEN]  # a short call lies whole in two windows
    assert said(label(1.0, 3.0, "no")) == [UNSEEN, NO, UNSEEN, UNSEEN, UNSEEN]  # halves of neighbours do not count
    assert said(label(1.0, 3.0, "unsure"), label(1.0, 3.0)) == [UNSEEN, YES, UNSEEN, UNSEEN, UNSEEN]
    assert said(label(1.0, 3.0), label(1.0, 3.0, "no")) == [UNSEEN, YES, UNSEEN, UNSEEN, UNSEEN]
    assert said(label(0.0, 2.0, "unsure", recording=2)) == [UNSEEN] * 4 + [UNSURE]
    assert verdicts_on(owner, onset, onset + 2, [label(1.0, 3.0, number=7)])[1].tolist() == [0, 7, 0, 0, 0]


def test_what_verdicts_teach():
    found = regions_of(
        [
            label(1.0, 2.0),
            label(1.0, 2.0, name="dog"),
            label(4.0, 5.0, "no"),
            label(6.0, 7.0, "no"),
            label(6.2, 6.8, name="dog"),
            label(8.0, 9.0, "unsure"),
        ]
    )
    assert found == [
        Region(1, 1.0, 2.0, ("dog", "owl")),
        Region(1, 4.0, 5.0, ()),
        Region(1, 6.2, 6.8, ("dog",)),
    ]


def test_the_taught_model_is_a_normal_folder_and_survives_a_restart(folder):
    with Studio(folder) as found:
        with pytest.raises(TooFewError):
            found.teach()
        found.index()
        for path, begin in (("a.wav", 1.0), ("a.wav", 5.0), ("b.wav", 3.0)):
            found.label(path, begin, begin + 0.5, "beep")
        found.label("deep/c.flac", 1.0, 3.0, "beep", "no")
        found.teach()
        scores = found.queue("beep", 30)
        found.detect()
        with pytest.raises(UsageError, match="order 'best': expected score, stratified, time"):
            found.detections(order="best")
        before, own = found.state(), auricle.load(found.out).spec.thresholds["beep"]
    with Studio(folder) as found:
        assert found.state() == before
        assert found.queue("beep", 30) == scores
        found.describe("beep", threshold=0.3)
        detector = auricle.load(found.out)
        assert detector.spec.thresholds["beep"] == 0.3
        found.describe("beep", threshold=None)
        assert auricle.load(found.out).spec.thresholds["beep"] == own
    events = detector.detect(folder / "a.wav").events
    assert [round(e.onset) for e in events if e.label == "beep"] == [1, 5, 9]
    stored = folder / OWN_FOLDER / "heads.npz"
    graph, network = detector.spec.sha256["model.onnx"], open_backbone().sha256
    assert load_heads(stored, graph, network).labels == ("beep",)
    assert load_heads(stored, "another", network) is load_heads(stored, graph, "another") is None


def test_two_detections_at_once_are_refused(studio, monkeypatch):
    going = threading.Event()
    monkeypatch.setattr("auricle.studio.detections.DetectionStore.run", lambda *_: going.wait(20))
    studio.start_detection([studio.recording("a.wav").id])
    with pytest.raises(BusyError, match="detection is at work; wait until it has ended"):
        studio.start_detection()
    going.set()


def test_tiles_are_kept_within_a_bound(studio, tmp_path):
    cache, sounds = TileCache(tmp_path / "tiles", most_bytes=20_000), SoundCache(tmp_path / "sounds")
    recording = studio.recording("a.wav")
    first = cache.tile(recording, sounds, 0, 1, 16)
    assert cache.tile(recording, sounds, 0, 1, 16) == first
    for k in range(40):
        cache.tile(recording, sounds, k / 10, k / 10 + 1, 16)
    assert sum(p.stat().st_size for p in (tmp_path / "tiles").iterdir()) <= 21_500 + len(first)


def test_a_tile_by_pieces_is_like_one_of_all_samples(studio, monkeypatch):
    recording = studio.recording("a.wav")
    whole = make_tile(recording.file, 0, 24, 48)
    monkeypatch.setattr("auricle.studio.tiles.WHOLE_S", 1.0)
    pieces = make_tile(recording.file, 0, 24, 48)
    assert (whole["whole"], pieces["whole"]) == (True, False)
    assert whole["peaks"] == pieces["peaks"]
    assert whole["spectrogram"] == pieces["spectrogram"]
    for arguments, text in (((2, 1, 9), "from 2, to 1: expected"), ((0, 1, 0), "width 0: expected 1 to 4096 columns")):
        with pytest.raises(UsageError, match=text):
            make_tile(recording.file, *arguments)


#: Makes changes, one for each line it reads; each is one entry of the journal.
WRITER = """
import sys
from pathlib import Path
from auricle.studio.database import Database
from auricle.studio.labels import Label, LabelStore

store = LabelStore(Database(Path(sys.argv[1])), "kill")
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    if number % 5 == 4:
        store.undo()
    elif number % 5 == 3:
        store.change(store.all()[-1].id, {"verdict": "no"})
    else:
        store.add(Label(1, number, number + 1, "beep"))
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kills(folder):
    """Kill the writer twice at random moments: the journal has every acknowledged change, and gives the labels."""
    with Studio(folder) as found:
        path, rng = found.database, np.random.default_rng(0)
        with found._database.transaction() as file:
            file.execute("UPDATE recordings SET duration = NULL")
    done = 0
    for _ in range(2):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            killer = threading.Timer(float(rng.uniform(0.02, 0.2)), process.kill)
            killer.start()
            acknowledged = done
            with contextlib.suppress(BrokenPipeError):
                while True:
                    process.stdin.write(f"{acknowledged}\n")
                    process.stdin.flush()
                    if process.stdout.readline() != f"{acknowledged}\n":
                        break
                    acknowledged += 1
            killer.join()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            done = connection.execute("SELECT count(*) FROM journal").fetchone()[0]
        assert acknowledged > 0
        assert acknowledged <= done <= acknowledged + 1  # one was under way
        assert replayed(path) == stored(path)


@pytest.mark.slow
def test_labels_that_were_posted_survive_ten_kills_of_the_server(folder):
    """Post labels over HTTP and kill the server ten times: the file has what was acknowledged, verdict for verdict."""
    rng, known, number = np.random.default_rng(1), {}, 0
    command = [sys.executable, "-m", "auricle", "studio", str(folder), "--port", "0", "--no-browser", "--by", "kill"]
    for _ in range(10):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            line = next(line for line in process.stderr if "studio for" in line)
            address = line.split(" on ")[1].split()[0]
            killer = threading.Timer(float(rng.uniform(0.05, 1.0)), process.kill)
            killer.start()
            under_way = None
            with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=address, trust_env=False) as client:
                while True:
                    verdict = ("yes", "no", "unsure")[number % 3]
                    onset = number / 200
                    under_way = (onset, verdict)
                    body = {"recording": 1, "onset": onset, "offset": onset + 0.5, "label": "beep", "verdict": verdict}
                    reply = client.post("v1/studio/labels", json=body)
                    assert reply.status_code == 200, reply.text
                    known[onset] = verdict
                    number += 1
            killer.join()
            process.wait()
        with contextlib.closing(sqlite3.connect(folder / OWN_FOLDER / "project.sqlite")) as connection:
            found = dict(connection.execute("SELECT onset, verdict FROM labels").fetchall())
        assert found in (known, {**known, under_way[0]: under_way[1]})
        known = found
        number = len(found)
    assert number > 20


def test_recordings_without_places_are_copied_once(tmp_path):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "long.ogg", beeps(40, [1, 35]), RATE)
    soundfile.write(tmp_path / "in" / "short.ogg", beeps(5, [1]), RATE)
    with Studio(tmp_path / "in") as found:
        long, short = found.recording("long.ogg"), found.recording("short.ogg")
        copy = found._sounds.file(long)
        assert copy == found._sounds.file(long) != long.file
        assert found._sounds.file(short) == short.file
        part = found.sound("long.ogg", 35.0, 35.5)
        assert np.abs(part.samples).max() == pytest.approx(0.3, abs=0.05)
        assert SoundCache(tmp_path / "small", most_bytes=1000).file(long) == long.file


def test_verdicts_become_a_table_that_train_reads(studio, tmp_path):
    with pytest.raises(TooFewError, match="before training"):
        studio.write_training_table(tmp_path / "t.csv")
    studio.label("a.wav", 1.0, 1.5, "beep")
    studio.label("a.wav", 1.0, 1.5, "tone")
    studio.label("b.wav", 5.0, 7.0, "beep", "no")
    studio.label("b.wav", 0.0, 1.0, "beep", "unsure")
    assert studio.write_training_table(tmp_path / "t.csv") == 2
    clips = read_manifest(tmp_path / "t.csv").clips
    assert [(clip.label, clip.negative, clip.onset, clip.offset) for clip in clips] == [
        (("beep", "tone"), False, 1.0, 1.5),
        ((), True, 5.0, 7.0),
    ]
    assert [clip.group for clip in clips] == ["a.wav", "b.wav"]


def test_what_teaching_needs_of_a_verdict_is_computed_when_it_is_given(studio, monkeypatch):
    computed, example = [], studio._teacher.example
    monkeypatch.setattr(studio._teacher, "example", lambda *part: (example(*part), computed.append(part[1:])))
    studio.label("a.wav", 1.0, 1.5, "beep")
    studio.label("a.wav", 3.0, 3.5, "beep", "no")
    studio.label("a.wav", 7.0, 7.5, "beep", "unsure")
    wait_for(lambda: len(computed) == 2)
    assert computed == [(1.0, 1.5), (3.0, 3.5)]
    monkeypatch.undo()
    monkeypatch.setattr("auricle.studio.teaching.enrol_samples", None)  # nothing is left to compute
    assert studio.teach()["labels"] == ["beep"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_reading_the_sound_leaves_the_processor_to_what_a_person_waits_for():
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen = []
    Job("index", 0, lambda _: seen.append(os.getpriority(os.PRIO_PROCESS, 0)), yielding=True).wait()
    Job("detect", 0, lambda _: seen.append(os.getpriority(os.PRIO_PROCESS, 0))).wait()
    assert seen == [min(19, own + YIELDED), own]
