# SPDX-License-Identifier: Apache-2.0
"""``detect --clips``: a file for each event, with a folder of results and without."""

from __future__ import annotations

import json

import pytest

import auricle as package
from auricle.audio.cutouts import CutoutOptions, read_cutout_tags
from auricle.errors import RunError, UsageError


def cut(folder):
    """Return the tags of all cut-outs below a folder, by their paths there."""
    return {str(path.relative_to(folder)): read_cutout_tags(path) for path in folder.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("out", [False, True])
def test_each_event_is_a_file(auricle, model, recordings, tmp_path, monkeypatch, out):
    monkeypatch.chdir(recordings.parent)
    options = ("--out", tmp_path / "out", "--jobs", 2) if out else ("--format", "json")
    clips = tmp_path / "clips"
    words = ("detect", "recordings", "--model", model, "-t", "0.6", "--clips", clips, "--lead", 0.25, "--tail", 0)
    done = auricle(*words, *options)
    assert done.code == 1, "broken.wav is still a failure"
    lines = (tmp_path / "out" / "events.jsonl").read_text() if out else done.out
    found = [json.loads(line) for line in lines.splitlines()]
    events = {(item["path"].rpartition("/")[2], e["label"], e["onset"]) for item in found for e in item["events"]}
    tags = cut(clips)
    assert {(t["source"], t["label"], t["onset"]) for t in tags.values()} == events
    assert len(tags) == len(events) == 4
    assert {name.rpartition("/")[0] for name in tags} == {"recordings", "recordings/deep"}
    (loud,) = (tag for tag in tags.values() if tag["label"] == "loud")
    assert loud["start"] == pytest.approx(loud["onset"] - 0.25)


def test_wav_and_its_options_from_the_command_line(auricle, model, recordings, tmp_path):
    clips = tmp_path / "clips"
    done = auricle("detect", recordings / "a.wav", "-m", model, "-t", "0.6", "--clips", clips, "--clip-format", "wav")
    assert done.code == 0
    assert {path.suffix for path in clips.rglob("*") if path.is_file()} == {".wav"}


def test_a_scan_continues_with_the_same_cut_outs_only(model, recordings, tmp_path):
    options = {"command": "detect", "model": model, "out": tmp_path / "out"}
    package.scan(recordings, **options, cutouts=CutoutOptions(str(tmp_path / "clips")))
    with pytest.raises(RunError, match="cutouts"):
        package.scan(recordings, **options, cutouts=CutoutOptions(str(tmp_path / "others")), resume=True)


def test_a_recording_whose_events_cannot_be_cut_out_has_failed(model, recordings, tmp_path):
    scan = package.scan(
        recordings / "a.wav",
        command="detect",
        model=model,
        cutouts=CutoutOptions(str(tmp_path / "clips")),
        progress=Removing(recordings / "a.wav"),
    )
    (result,) = scan
    assert result.error is not None
    assert result.error.code == "not_found"
    assert result.error.message == "its events were not cut out: no such file; check the path"


class Removing(package.ScanProgress):
    """Removes a recording once all of it was scored."""

    def __init__(self, path):
        self._path = path

    def recording(self, done_s, total_s):
        if done_s >= total_s:
            self._path.unlink(missing_ok=True)


def test_wrong_use(auricle, model, recordings, tmp_path):
    with pytest.raises(UsageError, match="cut-outs are of events, which tag does not find: use detect"):
        package.scan(recordings, model=model, cutouts=CutoutOptions(str(tmp_path)))
    done = auricle("detect", "-", "--model", model, "--clips", tmp_path / "clips")
    assert done.code == 2
    assert "- (stdin) cannot be read again, so it goes without --clips; save it to a file" in done.err
    (tmp_path / "file").touch()
    done = auricle("detect", recordings / "a.wav", "--model", model, "-t", 0.6, "--clips", tmp_path / "file" / "x")
    assert done.code == 2
    assert "cut-outs cannot be written into" in done.err
