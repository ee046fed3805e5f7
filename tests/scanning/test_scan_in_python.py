# SPDX-License-Identifier: Apache-2.0
"""``auricle.scan``: what Python gets, with a folder and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import auricle
from auricle.errors import RunError, UsageError


class Listener(auricle.ScanProgress):
    """Keeps what it is given."""

    def __init__(self):
        self.calls = []

    def default_model(self):
        self.calls.append(("default_model",))

    def notice(self, text):
        self.calls.append(("notice", text))

    def begin(self, what):
        self.calls.append(("begin", what))

    def update(self, done, total):
        self.calls.append(("update", done, total))

    def end(self):
        self.calls.append(("end",))


def test_results_come_in_the_order_of_the_listing_and_are_those_of_the_detector(model, recordings):
    scan = auricle.scan(recordings, model=model)
    assert (scan.total, scan.out, scan.tally) == (3, None, None)
    results = list(scan)
    assert [Path(result.path).name for result in results] == ["a.wav", "broken.wav", "b.wav"]
    detector = auricle.load(model)
    assert [r.to_dict() for r in results] == [r.to_dict() for r in detector.tag_many([r.path for r in results])]
    assert [r.to_dict() for r in scan] == [r.to_dict() for r in results], "a second pass computes them again"


def test_nothing_is_computed_before_it_is_asked_for(model, recordings):
    listener = Listener()
    results = iter(auricle.scan(recordings, model=model, progress=listener))
    assert listener.calls == []
    next(results)
    assert listener.calls == [("begin", "scores")]
    next(results)
    assert listener.calls[1:] == [("update", 1, 3)]
    results.close()
    assert listener.calls[-1] == ("end",), "who stops early has ended the work"


@pytest.mark.parametrize("command", ["tag", "detect", "embed"])
def test_a_folder_holds_what_is_given_without_one(command, model, recordings, tmp_path):
    options = {"command": command, "model": model, "threshold": None if command == "embed" else 0.3}
    computed = [result.to_dict() for result in auricle.scan(recordings, **options)]
    scan = auricle.scan(recordings, **options, out=tmp_path / "out", jobs=2)
    assert [result.to_dict() for result in scan] == computed
    assert [result.to_dict() for result in scan] == computed, "it can be read again"
    stem = {"tag": "scores", "detect": "events", "embed": "embeddings"}[command]
    lines = (tmp_path / "out" / f"{stem}.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == computed
    assert (scan.out, scan.total) == (tmp_path / "out", 3)
    assert (scan.tally.done, scan.tally.failed, dict(scan.tally.failures)) == (2, 1, {"not_audio": 1})
    assert scan.speed["files_per_s"] > 0


def test_a_finished_folder_is_read_and_not_done_again(model, recordings, tmp_path):
    first = auricle.scan(recordings, model=model, out=tmp_path / "out")
    listener = Listener()
    again = auricle.scan(recordings, model=model, out=tmp_path / "out", resume=True, progress=listener)
    assert listener.calls == [("notice", f"{tmp_path / 'out'} is finished; nothing to do")]
    assert again.speed is None
    assert again.tally.to_dict() == first.tally.to_dict()
    assert [r.to_dict() for r in again] == [r.to_dict() for r in first]


def test_top_and_thresholds_choose_what_is_kept(model, recordings):
    path = recordings / "deep" / "b.wav"

    def labels(**options):
        (result,) = auricle.scan([path], model=model, **options)
        return [score.label for score in result.scores]

    assert labels() == ["quiet", "loud"]
    assert labels(top=1) == labels(threshold=0.5) == ["quiet"]
    assert labels(threshold={"quiet": 0.9}) == ["loud"]


def test_the_built_in_model_is_announced(recordings):
    listener = Listener()
    auricle.scan(recordings, progress=listener)
    assert listener.calls == [("default_model",)]


def test_an_interruption_names_how_to_resume_and_leaves_the_journal(model, recordings, tmp_path):
    class Stopping(Listener):
        def update(self, done, total):
            raise KeyboardInterrupt

        def interrupted(self, text):
            self.calls.append(("interrupted", text))

    listener = Stopping()
    with pytest.raises(KeyboardInterrupt):
        auricle.scan(recordings, model=model, out=tmp_path / "out", progress=listener)
    assert listener.calls[1:] == [("interrupted", "1 of 3 are recorded; continue with --resume"), ("end",)]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["finished"] is False
    assert auricle.scan(recordings, model=model, out=tmp_path / "out", resume=True).tally.failed == 1


def test_wrong_use(model, recordings, tmp_path):
    with pytest.raises(UsageError, match="--resume is for a scan into a folder: give --out DIR too"):
        auricle.scan(recordings, model=model, resume=True)
    with pytest.raises(UsageError, match="command 'tga' is unknown; known: tag, detect, embed"):
        auricle.scan(recordings, model=model, command="tga")
    with pytest.raises(UsageError, match="jobs = 0; at least 1 does the work"):
        auricle.scan(recordings, model=model, jobs=0)
    with pytest.raises(UsageError, match="format 'raven' is not one of tag's: json, csv"):
        auricle.scan(recordings, model=model, out=tmp_path / "out", format="raven")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no such label"):
        auricle.scan(recordings, model=model, threshold={"lod": 0.5})
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunError, match="holds other things than a scan"):
        auricle.scan(recordings, model=model, out=tmp_path)


def test_classes_are_kept_by_name(model, recordings):
    whole, part = (list(auricle.scan(recordings, model=model, classes=names)) for names in ((), ("quiet",)))
    for result, kept in zip(whole, part, strict=True):
        assert kept.scores == tuple(score for score in result.scores if score.label == "quiet")
    events = [event for result in auricle.scan(recordings, model=model, command="detect") for event in result.events]
    kept_events = auricle.scan(recordings, model=model, command="detect", classes="quiet")
    assert [event for result in kept_events for event in result.events] == [e for e in events if e.label == "quiet"]
    with pytest.raises(UsageError, match="--classes: tiny has no class or group 'Animal'"):
        auricle.scan(recordings, model=model, classes=["Animal"])
    with pytest.raises(UsageError, match="classes are about what is found, and embed gives one vector for all"):
        auricle.scan(recordings, model=model, command="embed", classes=["quiet"])


def test_a_scan_of_classes_is_not_resumed_for_others(model, recordings, tmp_path):
    out = tmp_path / "scores"
    auricle.scan(recordings, model=model, classes="quiet", out=out)
    rows = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    assert {score["label"] for row in rows for score in row["scores"]} == {"quiet"}
    with pytest.raises(RunError, match="classes"):
        auricle.scan(recordings, model=model, classes="loud", out=out, resume=True)
    with pytest.raises(RunError, match="classes"):
        auricle.scan(recordings, model=model, out=out, resume=True)
