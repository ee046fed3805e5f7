# SPDX-License-Identifier: Apache-2.0
"""A detection that is stopped anywhere and continues finds the events of one go."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import RATE, make_bundle, make_causal_bundle

from auricle.errors import InputError
from auricle.runtime import long_file_progress as module
from auricle.runtime.detector import load
from auricle.runtime.long_file_progress import Bookmark, Place, bookmark_in, decode, encode

POST = {"median_s": 0.5, "off_ratio": 0.7, "min_event_s": 0.2, "max_gap_s": 0.3}
BOXES = {
    "median_s": 0.3,
    "boxes": {"filter_s": 0.6, "merge_abs": 0.1, "merge_rel": 0.9, "max_gap_s": 1.0, "max_event_s": 9},
}
KINDS = {
    "windows": (make_bundle, {"postprocess": POST}),
    "odd windows": (make_bundle, {"postprocess": POST, "window_s": 0.73, "hop_s": 0.37, "pad": "repeat"}),
    "no frames": (make_bundle, {"frames": None, "hop_s": 0.4, "postprocess": {"median_s": 1.2}}),
    "causal": (make_causal_bundle, {"postprocess": POST}),
    "boxes": (make_bundle, {"postprocess": BOXES}),
}


class Stopped(Exception):
    """The run was killed here."""


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    make, changes = KINDS[request.param]
    return make(tmp_path_factory.mktemp("bookmark") / "m", thresholds={"loud": 0.45, "quiet": 0.6}, **changes).path


@pytest.fixture(scope="module", params=[RATE, 2_205])
def recording(request, tmp_path_factory):
    """70 s whose level jumps, at the model's rate and at another."""
    rate = request.param
    rng = np.random.default_rng(1)
    level = np.repeat(rng.uniform(0, 1, 70), rate)
    path = tmp_path_factory.mktemp("long") / "long.wav"
    wave = np.sign(np.sin(np.arange(len(level)) * 2 * np.pi * 20.3 / rate))  # slow, so that no filter changes ``|x|``
    soundfile.write(path, level * wave, rate, subtype="PCM_16")
    return path


def stopped_after(blocks: int):
    """Return a listener that stops the run when it comes to the block after so many."""
    count = 0

    def progress(done_s, total_s):
        nonlocal count
        count += 1
        if count > blocks:
            raise Stopped

    return progress


@pytest.mark.parametrize("stops", [(1,), (3,), (2, 4, 5), (1, 6)])
def test_stopped_and_gone_on_is_one_go(folder, recording, tmp_path, stops):
    expected = load(folder).detect(recording)
    assert len(expected.events) > 5
    for blocks in stops:
        with pytest.raises(Stopped):
            load(folder).reporting(stopped_after(blocks)).detect(
                recording, bookmark=bookmark_in(tmp_path, str(recording), 0)
            )
    scored = []
    found = load(folder).detect(
        recording,
        bookmark=bookmark_in(tmp_path, str(recording), 0),
        on_frames=lambda frames: scored.append(len(frames)),
    )
    assert found == expected
    assert len(scored) <= 9 - stops[-1], "what was scored before is not scored again"


def test_a_mark_is_written_now_and_then(tmp_path):
    now = [0.0]
    mark = Bookmark(tmp_path / "deep" / "x.npz", __file__, 30, clock=lambda: now[0])
    assert not mark.due
    now[0] = 30
    assert mark.due
    mark.put(Place(5, None, None))
    assert not mark.due
    assert mark.take() == Place(5, None, None)
    mark.remove()
    assert mark.take() is None


def test_a_recording_that_changed_has_no_mark(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"1")
    mark = bookmark_in(tmp_path, str(tmp_path / "a.wav"))
    mark.put(Place(5, None, None))
    assert bookmark_in(tmp_path, str(tmp_path / "a.wav")).take() is not None
    (tmp_path / "a.wav").write_bytes(b"12")
    assert bookmark_in(tmp_path, str(tmp_path / "a.wav")).take() is None


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-40], lambda c: b"", lambda c: b"PK" + c[9:], lambda c: c[:99] + b"!!" + c[101:]]
)
def test_a_damaged_mark_is_none(tmp_path, damage):
    path = tmp_path / "x.npz"
    mark = Bookmark(path, __file__)
    mark.put(Place(5, {"sums": np.arange(50.0)}, None))
    path.write_bytes(damage(path.read_bytes()))
    assert mark.take() is None


def test_a_mark_that_the_recording_passes_by_is_dropped(tmp_path):
    """Blocks end after 10, 20 and 25 s; a mark elsewhere is of no use, and neither is one behind the end."""
    folder = make_bundle(tmp_path / "m").path
    path = tmp_path / "a.wav"
    soundfile.write(path, np.tile(np.array([0.7, -0.7], np.float32), 25 * RATE // 2), RATE)
    for samples in (15 * RATE, 99 * RATE):
        mark = bookmark_in(tmp_path, str(path))
        mark.put(Place(samples, None, {"median": None, "stage": None}))
        assert load(folder).detect(path, bookmark=mark) == load(folder).detect(path)
        assert mark.take() is None


def test_no_code_is_in_a_mark(tmp_path):
    """An array of objects is a pickle, and is refused."""
    path = tmp_path / "x.npz"
    np.savez(path, text=np.array([Stopped()], object))
    with pytest.raises(ValueError, match="of object"):
        decode(path.read_bytes())
    assert Bookmark(path, __file__).take() is None


def test_values_come_back_as_they_were():
    shared = np.arange(3)
    value = {"a": [1, 2.5, None, True, "x"], "b": (shared, shared), 3: {"c": np.float32(0.1)}, "inf": float("inf")}
    found = decode(encode(value))
    assert found["a"] == value["a"]
    assert [a.tolist() for a in found["b"]] == [[0, 1, 2]] * 2
    assert found[3] == {"c": np.float32(0.1)}
    assert type(found[3]["c"]) is np.float32
    assert found["inf"] == float("inf")


def test_other_things_are_not_kept_in_silence():
    with pytest.raises(TypeError, match="a bookmark cannot hold a InputError; add it to the classes that it knows"):
        encode({"x": InputError("internal", "no")})
    assert module.EVERY_S == 30
