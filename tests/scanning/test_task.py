# SPDX-License-Identifier: Apache-2.0
"""A record stands for its result exactly, and the work puts together what the model and the listing know."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from auricle.audio.listing import Entry
from auricle.results import DetectResult, EmbedResult, Event, Failure, Flag, LabelScore, TagResult
from auricle.runtime.detector import load
from auricle.runtime.thresholds import Thresholds
from auricle.scanning.task import Task, decode_result, encode_result

FLAG = Flag("clipped", {"share": 1 / 3, "runs": 4})


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("tag", TagResult("a.wav", 1 / 3, (FLAG,), (LabelScore("dog", float(np.float32(0.1))), LabelScore("a", 0.0)))),
        ("tag", TagResult("a.wav", None, error=Failure("not_found", "no such file"))),
        ("detect", DetectResult("a.wav", 9.0, (FLAG,), (Event("dog", 12345.678901, 12345.7, 0.3),))),
        ("detect", DetectResult("a.wav", None, (FLAG,), error=Failure("corrupt", "cut"))),
        ("embed", EmbedResult("a.wav", None, error=Failure("corrupt", "cut"))),
    ],
)
def test_records_are_exact(command, result):
    assert decode_result(command, json.loads(json.dumps(encode_result(result)))) == result


def test_embeddings_are_exact():
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    found = decode_result("embed", json.loads(json.dumps(encode_result(EmbedResult("a", 1.0, embedding=values)))))
    assert isinstance(found, EmbedResult)
    assert found.embedding.dtype == np.float32
    assert np.array_equal(found.embedding, values)


@pytest.mark.parametrize("command", ["tag", "detect", "embed"])
def test_work_gives_what_the_detector_gives(command, model, recordings):
    task = pickle.loads(pickle.dumps(Task(command, model)))
    work, detector = task.open(), load(model)
    for name in ("a.wav", "broken.wav"):
        path = str(recordings / name)
        found = decode_result(command, work(Entry(path, named=True)))
        expected = next(getattr(detector, f"{command}_many")([path]))
        assert found.to_dict() == expected.to_dict()


def test_scores_below_their_threshold_are_left_out_before_the_highest_are_taken():
    scores = tuple(LabelScore(label, score) for label, score in (("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.1)))
    task = Task("tag", "yard", top=2, thresholds=Thresholds(0.2, {"a": 0.95}))
    assert [s.label for s in task.kept(TagResult("x", 1.0, (), scores)).scores] == ["b", "c"]


def test_thresholds_of_events(model, recordings):
    entry = Entry(str(recordings / "a.wav"))
    events = Task("detect", model, thresholds=Thresholds(None, {"quiet": 1.0, "loud": 0.6})).open()(entry)["events"]
    assert [event[0] for event in events] == ["loud"]


def test_what_the_listing_knows_is_in_the_record(model, recordings):
    work = Task("tag", model).open()
    twin = Flag("name_collision", {"with": "A.wav"})
    assert work(Entry(str(recordings / "a.wav"), flags=(twin,)))["flags"][-1] == {
        "code": "name_collision",
        "with": "A.wav",
    }
    refused = work(Entry("locked", error=Failure("permission", "may not")))
    assert refused["error"] == {"code": "permission", "message": "may not"}


def test_f10_what_was_listed_and_is_gone_has_vanished(model):
    work = Task("tag", model).open()
    assert work(Entry("gone.wav"))["error"]["code"] == "vanished"
    assert work(Entry("gone.wav", named=True))["error"]["code"] == "not_found"
