# SPDX-License-Identifier: Apache-2.0
"""``auricle listen``: through real pipes, and with a sound card that a test plays."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from helpers.fakecard import Card
from helpers.tinybundle import RATE, make_causal_bundle

from auricle.api import load
from auricle.cli import listen_session
from auricle.cli.live_table import TableDisplay
from auricle.results import CutEvent, Event, EventStart, Scores


@pytest.fixture(scope="module")
def causal(tmp_path_factory) -> str:
    """A causal model: ``loud`` is the mean level of a frame of 0.1 s and the one before."""
    post = {"median_s": 0.1, "off_ratio": 0.6, "max_gap_s": 0.1}
    folder = tmp_path_factory.mktemp("listen") / "echo"
    return str(make_causal_bundle(folder, postprocess=post, thresholds={"loud": 0.4, "quiet": 1.0}).path)


def scene() -> np.ndarray:
    """Return 8 s with four loud parts."""
    level = np.full(8 * RATE, 0.05, np.float32)
    for begin, end in ((1.0, 1.6), (2.5, 2.8), (2.95, 3.3), (5.0, 6.5)):
        level[round(begin * RATE) : round(end * RATE)] = 0.7
    return level * np.tile(np.array([1, -1], np.float32), 4 * RATE)


def wav_of(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def start(*words: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "auricle", "listen", *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **{**pipes, **options})


def objects(lines) -> list[dict]:
    return [json.loads(line) for line in lines]


def test_a_pipe_is_heard_while_it_is_still_coming(causal, tmp_path):
    """The first event is told before the second half is sent; all of them are those of ``detect``."""
    content = wav_of(scene())
    half = len(content) // 2
    with start("-", "--model", causal, "--format", "json", "--quiet") as process:
        for at in range(0, half, 700):
            process.stdin.write(content[at : min(at + 700, half)])
            process.stdin.flush()
        early = objects(process.stdout.readline() for _ in range(4))  # two sounds, each with beginning and end
        process.stdin.write(content[half:])
        process.stdin.close()
        rest = objects(process.stdout)
    assert process.returncode == 0
    (tmp_path / "scene.wav").write_bytes(content)
    expected = load(causal).detect(tmp_path / "scene.wav").to_dict()["events"]
    assert len(expected) == 3
    found = [item for item in early + rest if "offset" in item]
    assert found == expected
    assert [item for item in early if "offset" in item] == expected[:2]
    assert [item["label"] for item in early] == ["loud"] * 4


def test_ctrl_c_ends_with_the_events_so_far(causal):
    """The sound that is going on is ended and told."""
    samples = scene()[: round(5.8 * RATE)]
    with start("-", "--model", causal, "--rate", RATE, "--sample-format", "f32le") as process:
        process.stdin.write(samples.astype("<f4").tobytes())
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(5)]  # the third sound has begun
        process.send_signal(signal.SIGINT)
        lines += process.stdout.readlines()
        said = process.stderr.read().decode()
        assert process.wait(20) == 130
    table = [line.split() for line in map(bytes.decode, lines)]
    assert [row[1:3] for row in table if "begins" not in row] == [
        ["1.700", "loud"],
        ["3.400", "loud"],
        ["5.800", "loud"],
    ]
    assert "auricle: interrupted" in said
    assert "auricle: 3 events in 6 s" in said
    assert "Traceback" not in said


def test_a_reader_that_leaves_is_no_trouble(causal):
    reading, writing = os.pipe()
    with start("-", "--model", causal, "--format", "json", "--quiet", stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        try:
            process.stdin.write(wav_of(scene()))
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert said == ""


def hear(model: str, card: Card, *, format: str = "json", limit: int = 10, quiet: bool = True, stream=None, **changes):
    """Let a model hear a card until its script is played; returns what it printed."""
    stream = io.StringIO() if stream is None else stream
    detector = listen_session.tuned_detector(
        model, "float32", **{"patience_s": None, "debounce_s": None, "quiet": True, **changes}
    )
    ears = listen_session.open_microphone(None, None, (None, None), card)
    ears._silence_s = 0.01
    ears._sleep = lambda seconds: None
    blocks = iter(ears)

    class Limited:
        sample_rate = ears.sample_rate

        def __iter__(self):
            for _ in range(limit):
                yield next(blocks)

    listen_session.print_events(detector, Limited(), None, format=format, stream=stream, quiet=quiet)
    return stream.getvalue()


def soft(seconds: float) -> np.ndarray:
    return np.full(round(seconds * RATE), 0.05, np.float32)


def loud(seconds: float) -> np.ndarray:
    return np.full(round(seconds * RATE), 0.7, np.float32)


def test_a_lost_microphone_ends_what_is_open_and_listening_goes_on(causal, capsys):
    printed = hear(causal, Card([loud(0.5)], [loud(0.3), soft(0.5)]), limit=4, quiet=False)
    begun, cut, _flags, gap, again, ended = objects(printed.splitlines())[:6]
    assert (begun["onset"], again["label"]) == (0.0995, "loud")  # a frame's centre lies between two samples
    assert cut == {"label": "loud", "onset": 0.0995, "offset": 0.4995, "score": pytest.approx(0.7), "cut": True}
    assert (gap["gap"]["at"], gap["gap"]["reason"], gap["gap"]["sample_rate"]) == (0.5, "lost", RATE)
    assert again["onset"] == pytest.approx(0.6 + gap["gap"]["gap_s"], abs=1e-3)
    assert "cut" not in ended
    said = capsys.readouterr().err
    assert "auricle: listening with tiny at 1000 Hz; latency up to 0.1 s (Ctrl-C ends)" in said
    assert "auricle: the microphone was lost and is back after" in said
    assert "at 0.5 s; what was open ends there" in said


def test_an_overrun_is_marked_and_lines_are_for_people(causal, capsys):
    printed = hear(causal, Card([loud(0.5), "overflow", loud(0.3)]), format="table", limit=3, quiet=False)
    assert printed.splitlines() == [
        "   0.100     begins  loud",
        "   0.100      0.499  loud  0.700  (cut)",
        "   0.600     begins  loud",
        "   0.600      0.799  loud  0.700",
    ]
    assert "auricle: some sound was lost (overrun) at 0.5 s; what was open ends there" in capsys.readouterr().err


def test_patience_waits_and_debounce_joins(causal):
    """Two bursts of 0.3 s, 0.3 s apart: joined by debounce, dropped by patience."""
    script = [loud(0.3), soft(0.3), loud(0.3), soft(1.0)]
    ends = lambda printed: [item for item in objects(printed.splitlines()) if "offset" in item]  # noqa: E731
    assert len(ends(hear(causal, Card(script), limit=4))) == 2
    assert len(ends(hear(causal, Card(script), limit=4, debounce_s=0.5))) == 1
    assert ends(hear(causal, Card(script), limit=4, patience_s=0.8)) == []


def test_the_table_shows_what_is_going_on(causal):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = hear(causal, Card([loud(0.3), soft(0.6)]), format="table", limit=2, stream=Terminal())
    assert "loud" in shown
    assert "0.100      0.400  loud" in shown


def test_a_table_of_many_labels_keeps_to_the_loudest_in_their_order():
    labels = [f"label {i}" for i in range(40)]
    board = TableDisplay(io.StringIO(), labels)
    values = np.zeros((2, 40), np.float32)
    values[1, [3, 30]] = 0.9, 0.6
    board.tell([Scores(np.zeros(2, np.float32), values, tuple(labels), 0.1), EventStart("label 3", 1.5)], 2.0)
    board.tell([Event("label 7", 0.5, 1.0, 0.8), CutEvent("label 8", 0.5, 1.0, 0.8)], 2.0)
    table = board.draw()
    cells = [list(column.cells) for column in table.columns]
    assert len(cells[0]) == 12
    names = [str(cell) for cell in cells[0]]
    assert names.index("label 3") < names.index("label 30")
    row = names.index("label 3")
    assert [str(column[row]) for column in cells[1:]] == ["0.90", "█" * 18, "1.5"]
    assert "label 7  0.800" in str(table.caption)
    assert "label 8  0.800  (cut)" in str(table.caption)


def test_a_microphone_needs_the_extra(auricle, causal, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = auricle("listen", "--model", causal)
    assert done.code == 2
    assert done.err.strip().endswith('this needs sounddevice, which is not installed; do: pip install "auricle[mic]"')


def test_microphones_are_listed(auricle, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", Card())
    assert auricle("listen", "--microphones").out.splitlines()[1].split() == ["1", "USB", "ear", "2", "1000"]
    silent = Card()
    silent.query_devices = list
    monkeypatch.setitem(sys.modules, "sounddevice", silent)
    assert "there is no microphone; plug one in, or pipe samples in" in auricle("listen", "--microphones").err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("night.wav",), "got 'night.wav'; listen reads the microphone or - (stdin): use `auricle detect` for files"),
        (("-", "--microphone", "USB"), "--microphone goes without -: either the microphone or stdin is read"),
        (("--channels", 2), "--sample-format and --channels are for samples on stdin: auricle listen - --rate 16000"),
        (("-", "--threshold", "lout=0.5"), "lout"),
    ],
)
def test_wrong_use_is_one_line(auricle, causal, words, expected):
    done = auricle("listen", *words, "--model", causal)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_other_things_on_stdin_are_refused(causal):
    with start("-", "--model", causal, "--quiet") as process:
        out, said = process.communicate(b"fLaC" + bytes(100), 20)
    assert (process.returncode, out) == (1, b"")
    assert said.decode().strip().endswith("decode it: ffmpeg -i - -f wav - | auricle listen -")


def test_it_answers_at_once(causal):
    """A line is there long before the pipe is closed: nothing waits in a buffer."""
    with start("-", "--model", causal, "--rate", RATE, "--sample-format", "f32le", "--quiet") as process:
        process.stdin.write(soft(0.1).astype("<f4").tobytes())
        process.stdin.flush()
        time.sleep(0.5)
        since = time.monotonic()
        process.stdin.write(loud(0.3).astype("<f4").tobytes())
        process.stdin.flush()
        assert b"begins  loud" in process.stdout.readline()
        assert time.monotonic() - since < 30  # of a program that had to start first
        process.stdin.close()


def test_models_of_long_windows_are_cut_shorter_unless_told_otherwise():
    def latency_s(**options) -> float:
        detector = listen_session.tuned_detector("general", "float32", quiet=True, **options)
        return detector.stream(16_000).latency_s

    assert 3 < latency_s() <= 4
    assert 5 < latency_s(patience_s=2.0) <= 6
    assert 1.5 < latency_s(latency_s=2.0) <= 2
    assert latency_s(latency_s=60.0) == pytest.approx(12.88)


@pytest.mark.parametrize(("name", "count"), [("LOUD", 3), ("quiet", 0)])
def test_only_the_classes_that_are_asked_for_are_told(causal, name, count):
    with start("-", "--model", causal, "--classes", name, "--format", "json", "--quiet") as process:
        out, _ = process.communicate(wav_of(scene()))
    assert sum("offset" in item for item in objects(out.splitlines())) == count
