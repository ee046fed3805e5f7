# SPDX-License-Identifier: Apache-2.0
"""Help, version, and the small commands: models, data, doctor."""

from __future__ import annotations

import io
import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.tinybundle import make_causal_bundle

from auricle import __version__
from auricle.cli.main import help_of
from auricle.data.formats.registry import FORMATS


def test_version(auricle):
    assert auricle("--version").out == f"auricle {__version__}\n"


def test_nothing_shows_the_help(auricle):
    assert auricle().out + auricle().err != ""
    assert "detect" in help_of([])


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        ([], "Usage: auricle [OPTIONS] COMMAND [ARGS]..."),
        (["tag"], "Usage: auricle tag [OPTIONS] [INPUT]..."),
        (["data", "check", "clips"], "Usage: auricle data check [OPTIONS] {DATA}"),
        (["tag", "data"], "Usage: auricle tag [OPTIONS] [INPUT]..."),
        (["-q", "train"], "Usage: auricle train [OPTIONS] {DATA}"),
    ],
)
def test_help_finds_the_command_among_the_words(words, usage):
    assert help_of(words).splitlines()[0] == usage


def test_help_after_two_dashes_is_an_input(auricle):
    assert "no such file" in auricle("data", "check", "--", "--help").out


@pytest.mark.parametrize(
    "words", ["tag", "detect", "embed", "train", "crossval", "evaluate", "doctor", "demo", "data check", "models"]
)
def test_each_command_shows_an_example(words):
    assert f"\n  Example:\n    auricle {words}" in help_of(words.split())


def cpu_seconds(*words: str) -> float:
    """Return the least processor time of a Python process in five runs."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_costs_little_more_than_the_library_it_is_written_with():
    """A ratio, since a busy machine stretches even processor time; ``make bench`` measures the seconds."""
    assert cpu_seconds("-m", "auricle", "tag", "--help") < 3 * cpu_seconds("-c", "import typer")


def test_an_unknown_data_format_is_answered_with_those_there_are(auricle, tmp_path):
    result = auricle("data", "check", tmp_path, "--data-format", "folder")
    assert result.code == 2
    assert f"unknown data format 'folder' (did you mean 'folders'?); known: {', '.join(FORMATS.names())}" in result.err


def test_models_shows_a_folder(auricle, model):
    table = auricle("models", "show", model)
    assert "labels" in table.out
    assert "loud, quiet" in table.out
    values = json.loads(auricle("models", "show", model, "--format", "json").out)
    assert values["labels"] == ["loud", "quiet"]


def test_models_lists_what_is_built_in(auricle):
    from auricle.runtime.model_names import builtin_models

    done = auricle("models", "list", "--format", "json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [item["name"] for item in found if "published" not in item] == builtin_models()
    assert "mn04_as" in [item.get("published") for item in found]
    assert auricle("models").code == 0


def test_data_synth_check_and_import_are_one_way(auricle, tmp_path):
    toy, arrays = tmp_path / "toy", tmp_path / "arrays"
    assert auricle("data", "synth", "--out", toy, "--clips", 2, "--seconds", 0.5, "--rate", 8000).code == 0
    report = json.loads(auricle("data", "check", toy, "--format", "json").out)
    assert (report["form"], report["clips"], report["negatives"], report["ok"]) == ("folders", 14, 2, True)
    done = auricle("data", "import", toy, "--out", arrays, "--rate", 8000)
    assert (done.code, done.out) == (0, f"14 clips in {arrays}\n")
    assert json.loads(auricle("data", "check", arrays, "--format", "json").out)["form"] == "numpy"
    again = auricle("data", "synth", "--out", toy)
    assert again.code == 2
    assert "is not empty" in again.err


def test_data_import_names_what_it_could_not_read(auricle, tmp_path, tone, encode):
    for label in ("a", "b"):
        (tmp_path / "d" / label).mkdir(parents=True)
        (tmp_path / "d" / label / "1.wav").write_bytes(encode(tone(0.2)))
    (tmp_path / "d" / "a" / "2.wav").write_bytes(b"")
    done = auricle("data", "import", tmp_path / "d", "--out", tmp_path / "arrays")
    assert done.code == 1
    assert "auricle: a/2.wav: " in done.err
    assert "[empty_file]" in done.err


def test_data_check_exits_2_for_what_cannot_be_trained_on(auricle, tmp_path):
    done = auricle("data", "check", tmp_path / "gone")
    assert done.code == 2
    assert "PROBLEM: no such file or folder" in done.out


def test_doctor_says_what_is_installed(auricle):
    findings = json.loads(auricle("doctor", "--format", "json").out)
    assert findings["machine"]["auricle"] == __version__
    assert "WAV" in findings["machine"]["audio formats"]
    assert findings["checks"] == []
    assert "onnxruntime" in auricle("doctor").out


def with_golden(model, folder, change=0.0):
    """Copy a model and give it golden scores, which ``change`` makes wrong."""
    from auricle import load
    from auricle.runtime.bundle import add_files
    from auricle.runtime.onnx_session import FRAMES, open_network

    shutil.copytree(model, folder)
    waveform = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)[None]
    found = open_network(load(model).bundle).run(waveform, frozenset({FRAMES}))
    buffer = io.BytesIO()
    np.savez(buffer, waveform=waveform, clip=found.clip + np.float32(change), frames=found.frames)
    add_files(folder, {"golden.npz": buffer.getvalue()})
    return folder


def test_doctor_compares_golden_scores(auricle, model, tmp_path):
    good = auricle("doctor", with_golden(model, tmp_path / "good"), "--format", "json")
    assert good.code == 0
    assert [check["ok"] for check in json.loads(good.out)["checks"]] == [True, True]
    bad = auricle("doctor", with_golden(model, tmp_path / "bad", change=0.001))
    assert bad.code == 1
    assert "FAILED" in bad.out
    assert "largest difference 0.001, allowed 0.0001" in bad.out


def test_doctor_lets_a_causal_model_hear_its_golden_input_as_a_stream(auricle, tmp_path):
    """The tiny stream is another network than the tiny model on purpose, so it is found out."""
    make_causal_bundle(tmp_path / "causal")
    folder = with_golden(tmp_path / "causal", tmp_path / "m")
    done = auricle("doctor", folder)
    assert done.code == 1
    assert "golden scores, stream" in done.out
    line = next(line for line in done.out.splitlines() if "golden scores, stream" in line)
    assert "FAILED" in line


def test_doctor_says_that_a_model_without_golden_scores_cannot_be_compared(auricle, model):
    done = auricle("doctor", model)
    assert done.code == 1
    assert "the model has no golden.npz" in done.out


def test_doctor_finds_a_damaged_file(auricle, model, tmp_path):
    folder = with_golden(model, tmp_path / "m")
    (folder / "golden.npz").write_bytes(b"PK")
    done = auricle("doctor", folder)
    assert done.code == 1
    assert "golden.npz is damaged or was changed" in done.out


@pytest.mark.parametrize("rate", ["8000.0", "8e3"])
def test_a_whole_rate_is_one_however_it_is_written(auricle, tmp_path, rate):
    done = auricle("data", "synth", "--out", tmp_path / "toy", "--clips", 2, "--seconds", 0.5, "--rate", rate)
    assert done.code == 0, done.err


@pytest.mark.parametrize("rate", ["44100.5", "inf", "nan", "fast", "0", "-8000"])
@pytest.mark.parametrize("words", [("data", "check", "."), ("train", ".", "--out", "x")])
def test_another_rate_is_refused(auricle, rate, words):
    done = auricle(*words, "--sample-rate", rate)
    assert done.code == 2
    assert f"{rate} is no sample rate; expected a whole number of Hz, 1 or more" in " ".join(done.err.split())
