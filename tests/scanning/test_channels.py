# SPDX-License-Identifier: Apache-2.0
"""``--channel``: one channel, each by itself, or the mean of all; a channel alone is the same as in company."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import RATE, make_causal_bundle

import auricle as library
from auricle.audio.decode import open_audio
from auricle.errors import InputError, RunError, UsageError
from auricle.results import Scores
from auricle.runtime.inputs import Excerpt

LEVELS = (0.75, 0.25, 0.5)


@pytest.fixture
def three(tmp_path):
    """Two seconds of three channels at constant levels; ``loud`` of a channel is its level."""
    buzz = np.tile(np.array([1, -1], np.float32), RATE)
    path = tmp_path / "three.wav"
    soundfile.write(path, np.stack([level * buzz for level in LEVELS], axis=1), RATE, subtype="FLOAT")
    return path


@pytest.fixture
def mono(three):
    """Each channel as a file of its own."""
    samples, rate = soundfile.read(three, dtype="float32", always_2d=True)
    paths = [three.with_name(f"mono{i + 1}.wav") for i in range(3)]
    for i, path in enumerate(paths):
        soundfile.write(path, samples[:, i], rate, subtype="FLOAT")
    return paths


def test_a_channel_is_scored_as_if_it_were_a_file_of_its_own(model, three, mono):
    detector = library.load(model)
    for number, (level, path) in enumerate(zip(LEVELS, mono, strict=True), 1):
        one = detector.of_channel(number)
        assert one.tag(three)["loud"] == pytest.approx(level), "by hand: the level of the channel"
        assert one.tag(three).channel == number
        for name in ("tag", "detect", "embed"):
            alone = {**getattr(detector, name)(path).to_dict(), "path": str(three), "channel": number}
            assert getattr(one, name)(three).to_dict() == alone
    assert detector.tag(three)["loud"] == pytest.approx(0.5), "the mean of all, as ever"
    assert detector.tag(three).channel is None
    assert "channel" not in detector.tag(three).to_dict()


def test_arrays_and_streams_have_channels_too(model, three):
    samples, _ = soundfile.read(three, dtype="float32", always_2d=True)
    one = library.load(model).of_channel(2)
    assert one.tag(samples, RATE)["loud"] == one.tag(three)["loud"]
    stream = one.stream(RATE)
    items = [item for block in np.array_split(samples, 7) for item in stream.push(block)] + stream.flush()
    parts = [item.values for item in items if isinstance(item, Scores)]
    np.testing.assert_array_equal(np.concatenate(parts), one.frames(three).values)


def test_a_part_of_a_channel(model, three):
    detector = library.load(model)
    result = detector.tag(Excerpt(str(three), 0.5, 1.0, 3))
    assert (result.channel, result.part, result["loud"]) == (3, (0.5, 1.5), pytest.approx(0.5))


def test_each_gives_a_result_for_each_channel_and_mono_files_one(model, three, mono, capsys):
    scan = library.scan([three, mono[0]], model=model, channel="each")
    assert scan.total == 4
    results = list(scan)
    assert [(r.channel, round(r["loud"], 6)) for r in results] == [(1, 0.75), (2, 0.25), (3, 0.5), (1, 0.75)]
    assert results[1].to_dict() == library.load(model).of_channel(2).tag(three).to_dict()
    columns = scan.columns()
    assert columns["channel"] == [1, 1, 2, 2, 3, 3, 1, 1]


@pytest.mark.parametrize("channel", ["each", 2])
@pytest.mark.parametrize("command", ["tag", "detect", "embed"])
def test_a_folder_holds_what_is_given_without_one(command, channel, model, three, tmp_path):
    options = {"command": command, "model": model, "channel": channel}
    computed = [result.to_dict() for result in library.scan(three, **options)]
    scan = library.scan(three, **options, out=tmp_path / "out", jobs=2)
    assert [result.to_dict() for result in scan] == computed
    assert [entry["channel"] for entry in computed] == ([1, 2, 3] if channel == "each" else [2])


def test_a_scan_resumes_with_the_same_channel_only(model, three, tmp_path):
    library.scan(three, model=model, channel=1, out=tmp_path / "out")
    with pytest.raises(RunError, match="channel"):
        library.scan(three, model=model, channel=2, out=tmp_path / "out", resume=True)


def test_tables_have_a_column_where_channels_were_asked_for(auricle, model, three, tmp_path):
    done = auricle("detect", three, "--model", model, "--channel", "each", "--format", "csv")
    lines = [line.split(",") for line in done.out.splitlines()]
    assert lines[0] == ["path", "onset", "offset", "label", "score", "channel", "flags", "error", "message"] or (
        lines[0] == ["path", "onset", "offset", "label", "score", "channel"]
    )
    assert [(row[3], row[5]) for row in lines[1:]] == [("loud", "1"), ("quiet", "2"), ("loud", "3"), ("quiet", "3")]
    assert "channel" not in auricle("detect", three, "--model", model, "--format", "csv").out.splitlines()[0]
    raven = auricle("detect", three, "--model", model, "--channel", "each", "--format", "raven").out.splitlines()
    place = raven[0].split("\t").index("Channel")
    assert [row.split("\t")[place] for row in raven[1:]] == ["1", "2", "3", "3"]
    rttm = auricle("detect", three, "--model", model, "--channel", "2", "--format", "rttm").out.split()
    assert rttm[:3] == ["SPEAKER", "three", "2"]
    out = tmp_path / "labels"
    auricle("detect", three, "--model", model, "--channel", "each", "--format", "audacity", "--out", out, "-q")
    assert sorted(path.name for path in out.rglob("*.txt")) == [f"three.wav.channel{n}.txt" for n in (1, 2, 3)]


def test_a_channel_that_is_not_there_fails_that_recording_alone(auricle, model, three, mono):
    done = auricle("tag", mono[0], three, "--model", model, "--channel", 2, "--format", "json")
    first, second = map(json.loads, done.out.splitlines())
    assert done.code == 1
    assert first["error"] == {"code": "no_channel", "message": "it has 1 channel, and channel 2 was asked for"}
    assert (first["channel"], second["channel"], second["error"]) == (2, 2, None)
    with pytest.raises(InputError, match="3 channels, and channel 4"):
        open_audio(three, channel=4)


@pytest.mark.parametrize("wrong", ["0", "-1", "1.5", "left", "²"])
def test_what_is_no_channel(auricle, model, three, wrong):
    done = auricle("tag", three, "--model", model, f"--channel={wrong}")
    assert done.code == 2
    assert f"channel {wrong!r} is none; give a number from 1 on, each, or mix (the mean of all)" in done.err


def test_what_goes_without_each(auricle, model, three, tmp_path):
    with pytest.raises(UsageError, match=r"each channel by itself is for auricle\.scan"):
        library.load(model).of_channel("each")
    done = auricle("tag", "-", "--model", model, "--channel", "each")
    assert "- (stdin) is read once, and --channel each reads a recording more often" in done.err
    words = ("--model", model, "--channel", "each", "--out", tmp_path / "out")
    assert "--windows takes one channel or the mix" in auricle("embed", three, "--windows", *words).err
    assert "cut-outs have all channels" in auricle("detect", three, *words, "--clips", tmp_path / "clips").err


def test_memory_does_not_grow_with_length(tmp_path):
    def peak(seconds: int) -> int:
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, np.zeros((seconds * 16_000, 2), np.int16), 16_000)
        tracemalloc.start()
        with open_audio(path, channel=2) as reader:
            for _ in reader:
                pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)
    assert peak(200) < 1.5 * peak(20)


def test_windows_of_a_channel_have_its_vectors(model, three, mono, tmp_path):
    for name, inputs, options in (("one", three, {"channel": 2}), ("alone", mono[1], {})):
        library.embed(inputs, model=model, windows=True, window_s=1.0, out=tmp_path / name, **options)
    one, alone = (np.load(tmp_path / name / "vectors.npy") for name in ("one", "alone"))
    np.testing.assert_array_equal(one, alone)


def test_a_causal_model_takes_channels_too(three, tmp_path):
    detector = library.load(make_causal_bundle(tmp_path / "causal").path)
    assert detector.of_channel(2).frames(three).values[-1, 0] == pytest.approx(0.25)
