# SPDX-License-Identifier: Apache-2.0
"""The equalities that hold auricle together, each over every registered network and head.

Training input = runtime input; torch = ONNX; int8 = float32 within the recipe's limit; alone = together;
saved = loaded; command line = Python.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from auricle import api
from auricle.batches.cache import WaveformCache
from auricle.batches.crops import ClipReader, scoring_windows
from auricle.cli.main import main
from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Clip
from auricle.errors import InputError
from auricle.evaluation.evaluate import score_manifest
from auricle.evaluation.report import selection_figures
from auricle.exporting.onnx import ScoringGraph, check_parity
from auricle.nn.losses import clip_scores
from auricle.runtime.calibration import apply_calibration
from auricle.runtime.detector import Detector, load
from auricle.runtime.onnx_session import EMBEDDING, FRAMES, open_network
from auricle.training.bundling import aggregate

#: Between torch and ONNX Runtime, for any score.
TOLERANCE = 1e-4


class Recorder:
    """A network of the runtime that remembers its input."""

    def __init__(self, network) -> None:
        self.network, self.outputs, self.windows = network, network.outputs, []

    def run(self, windows, wanted=frozenset()):
        self.windows += list(windows)
        return self.network.run(windows, wanted)


def training_windows(model, path, folder) -> np.ndarray:
    """Return the windows by which training scores a file on dev."""
    rate = model.recipe.frontend.sample_rate
    cache = WaveformCache(folder, rate)
    report = cache.prepare([str(path)])
    assert not report.failures
    reader = ClipReader(cache, None, rate, rate)
    return scoring_windows(reader.read(Clip(path.name, str(path))), model.recipe, reader)


def scores_of(result, labels) -> list[float]:
    found = {score.label: score.score for score in result.scores}
    return [found[label] for label in labels]


# --- 1: training input = runtime input


def test_the_runtime_hears_what_training_heard(trained, recordings, tmp_path):
    network = open_network(trained.bundle)
    for path in recordings:
        recorder = Recorder(network)
        Detector(trained.bundle, recorder).tag(path)
        expected = training_windows(trained, path, tmp_path)
        assert len(recorder.windows) == len(expected), path.name
        for number, (found, window) in enumerate(zip(recorder.windows, expected, strict=True)):
            assert np.array_equal(found, window), (path.name, number)


def test_the_runtime_says_what_training_saw(trained, recordings, tmp_path):
    """The scores of a file in training (torch) are those that ``tag`` gives (ONNX Runtime)."""
    network, spec = trained.network(), trained.bundle.spec
    for path in recordings:
        windows = torch.from_numpy(training_windows(trained, path, tmp_path))
        with torch.inference_mode():
            scores = clip_scores(network(windows).clip_logits, spec.task, negatives=spec.negatives).numpy()
        joined = aggregate(scores, spec.aggregate, spec.task, negatives=spec.negatives)
        expected = apply_calibration(joined, spec.calibration, spec.task, none=spec.negatives)
        found = scores_of(trained.detector.tag(path), spec.labels)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, err_msg=path.name)


# --- 3: torch = ONNX


def test_the_graph_is_the_network(model):
    spec = model.bundle.spec
    graph = ScoringGraph(model.network(), spec.task, negatives=spec.negatives, frames=model.frames).eval()
    window = spec.window_samples
    lengths = [window] if spec.fixed_length else [window, spec.min_samples, 2 * window + 77]
    content, limit = model.bundle.read("model.onnx"), model.tolerance
    assert check_parity(graph, content, lengths, (1, 4), limit) <= limit


def test_another_length_works_or_is_refused_clearly(model):
    spec, network = model.bundle.spec, open_network(model.bundle)
    windows = np.zeros((1, 2 * spec.window_samples), np.float32)
    if not spec.fixed_length:
        assert network.run(windows).clip.shape == (1, len(spec.labels))
        return
    window = spec.window_samples
    expected = rf"^got windows of {2 * window} samples; .*model\.onnx takes {window} and nothing else$"
    with pytest.raises(InputError, match=expected) as caught:
        network.run(windows)
    assert caught.value.code == "wrong_length"


# --- 4: int8 = float32, within the recipe's limit


@pytest.mark.parametrize("measured", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["weights", "measured"])
def test_int8_costs_no_more_than_the_recipe_allows(model, clips, tmp_path, measured):
    folder = shutil.copytree(model.path, tmp_path / "smaller")
    result = api.export_int8(folder, data=clips if measured else None)
    limits = model.recipe.export
    assert result.shift <= limits.int8_shift
    before, after = (selection_figure(folder, clips, precision) for precision in ("float32", "int8"))
    assert after >= before - limits.int8_loss
    if measured:
        assert (result.float32, result.int8) == (pytest.approx(before), pytest.approx(after))
    smaller = load(folder, precision="int8")
    moved = [
        np.abs(smaller.frames(path).values - model.detector.frames(path).values).max()
        for path in sorted(clips.rglob("*.wav"))
    ]
    assert 0 < max(moved) < limits.int8_shift


def selection_figure(folder, clips, precision) -> float:
    detector = load(folder, precision=precision)
    manifest = read_manifest(clips, labels=detector.labels, task=detector.spec.task)
    figures = selection_figures(score_manifest(detector, manifest), manifest.targets(), detector.spec.task)
    return next(iter(figures.values()))


# --- 5: alone = together


def test_a_window_alone_is_the_window_in_a_batch(model):
    network = open_network(model.bundle)
    windows = (0.1 * np.random.default_rng(0).standard_normal((5, model.bundle.spec.window_samples))).astype(np.float32)
    wanted = frozenset({EMBEDDING, FRAMES} & network.outputs)
    together = network.run(windows, wanted)
    for i, window in enumerate(windows):
        alone = network.run(window[None], wanted)
        np.testing.assert_allclose(alone.clip[0], together.clip[i], atol=1e-5)
        np.testing.assert_allclose(alone.embedding[0], together.embedding[i], atol=1e-5)
        if together.frames is not None:
            np.testing.assert_allclose(alone.frames[0], together.frames[i], atol=1e-5)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_file_alone_is_the_file_among_others(model, recordings, jobs):
    detector = model.detector
    alone = [detector.tag(path).to_dict() for path in recordings]
    assert [result.to_dict() for result in detector.tag_many(recordings, jobs=jobs)] == alone
    events = [detector.detect(path, threshold=0.3).to_dict() for path in recordings]
    assert [r.to_dict() for r in detector.detect_many(recordings, threshold=0.3, jobs=jobs)] == events


# --- 7: saved = loaded


def test_a_loaded_model_gives_the_same_scores_wherever_it_lies(model, recordings, tmp_path):
    moved = load(shutil.copytree(model.path, tmp_path / "elsewhere"))
    for path in recordings[:5]:
        assert moved.tag(path).to_dict() == model.detector.tag(path).to_dict()
        assert np.array_equal(moved.frames(path).values, model.detector.frames(path).values)


def test_the_stored_weights_are_those_of_the_stored_graph(model):
    waveform = torch.randn(2, model.bundle.spec.window_samples, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.inference_mode():
        output = model.network()(waveform)
    found = open_network(model.bundle).run(waveform.numpy(), frozenset({EMBEDDING}))
    np.testing.assert_allclose(found.embedding, output.embedding.numpy(), atol=model.tolerance)


# --- 6: command line = Python


def lines_of(capsys, *words: object) -> list[dict]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert caught.value.code in (0, None)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_command_line_prints_what_python_returns(model, recordings, capsys):
    detector, recordings = load(model.path), recordings[:3]  # how others are read, the tests of the commands hold
    common = ("--model", model.path, "--format", "json", "--quiet")
    tagged = lines_of(capsys, "tag", *recordings, *common)
    assert tagged == [detector.tag(str(path)).to_dict(top=5) for path in recordings]
    detected = lines_of(capsys, "detect", *recordings, *common, "--threshold", 0.3)
    assert detected == [detector.detect(str(path), threshold=0.3).to_dict() for path in recordings]
    embedded = lines_of(capsys, "embed", *recordings[:2], *common)
    assert embedded == [detector.embed(str(path)).to_dict() for path in recordings[:2]]
