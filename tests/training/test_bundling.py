# SPDX-License-Identifier: Apache-2.0
"""Exporting, thresholds, golden scores and the model card."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from helpers.toydata import Listener, make_loop, tiny, write_folders

from auricle.data.manifest import Clip, Manifest
from auricle.errors import TrainingError
from auricle.evaluation.tuning.thresholds import MEDIANS_S
from auricle.events.segments import find_segments, segment_rule
from auricle.events.smoothing import median_size, median_smooth
from auricle.nn.frontends.logmel import LogMel
from auricle.results import Event, Interval, Report
from auricle.training import bundling
from auricle.training.bundling import (
    Trained,
    aggregate,
    export_checked,
    finish,
    golden,
    make_spec,
    score_clips,
    score_held_out,
    tune_events,
)
from auricle.training.card import model_card
from auricle.training.loop import final_weights
from auricle.training.preparation import prepare, read_training_data

NOBODY = np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = write_folders(tmp_path_factory.mktemp("finishing") / "clips", labels=("low", "high", "other"), clips=4)
    recipe = tiny("optim.epochs=1")
    material = prepare(read_training_data(folder, recipe), recipe, Listener())
    state = make_loop(material, tmp_path_factory.mktemp("finishing") / "run").fit()
    return Trained(final_weights(state, selected=False), material, seed=0)


@pytest.fixture(scope="module")
def spec(trained):
    return make_spec("toy", trained, trained.network(), bundling.POSTPROCESS, {"high": 0.5, "low": 0.5})


def test_windows_become_a_recording_by_the_tasks_rule():
    windows = np.array([[0.2, 0.9], [0.6, 0.1]], np.float32)
    np.testing.assert_allclose(aggregate(windows, "mean", "single"), [0.4, 0.5])
    np.testing.assert_allclose(aggregate(windows, "max", "multi"), [0.6, 0.9])


def test_a_clip_is_scored_by_its_windows(trained):
    clips = trained.material.manifest.clips[:2]
    scored = score_clips(trained.network(), trained.material, clips)
    assert [(windows.shape, frames.shape) for windows, frames in scored] == [((2, 2), (2, 12, 2))] * 2
    alone = score_clips(trained.network(), trained.material, clips[1:])
    np.testing.assert_allclose(alone[0][0], scored[1][0], atol=1e-6)


def test_many_windows_are_scored_in_parts(trained, monkeypatch):
    clip = trained.material.manifest.clips[:1]
    whole = score_clips(trained.network(), trained.material, clip)
    monkeypatch.setattr(bundling, "WINDOWS_AT_ONCE", 1)
    parts = score_clips(trained.network(), trained.material, clip)
    for a, b in zip(whole[0], parts[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_thresholds_are_a_half_without_dev_and_fitted_with_it(trained):
    network = trained.network()
    assert tune_events(network, trained.material, NOBODY) == (bundling.POSTPROCESS, {"high": 0.5, "low": 0.5})
    _, fitted = tune_events(network, trained.material, np.arange(len(trained.material.manifest)))
    assert set(fitted) == {"high", "low"}
    assert all(0 < value < 1 for value in fitted.values())


def test_fitted_thresholds_divide_what_a_perfect_network_says(trained, monkeypatch):
    """Frames of 0.8 where the class is and 0.2 where it is not: the threshold lies between."""

    def perfect(network, material, clips):
        columns = [[0.8 if label in clip.label else 0.2 for label in ("high", "low")] for clip in clips]
        return [(np.array([c], np.float32), np.tile(np.array(c, np.float32), (1, 12, 1))) for c in columns]

    monkeypatch.setattr(bundling, "score_clips", perfect)
    post, fitted = tune_events(trained.network(), trained.material, np.arange(len(trained.material.manifest)))
    assert all(0.2 < value <= 0.8 for value in fitted.values())
    assert post.medians_s == dict.fromkeys(("high", "low"), max(MEDIANS_S))  # all lengths are as good


def test_a_sound_of_two_frames_gets_a_short_filter(trained, monkeypatch):
    def barks(network, material, clips):
        frames = [np.full((1, 12, 2), 0.1, np.float32) for _ in clips]
        for clip, scores in zip(clips, frames, strict=True):
            scores[0, 5:7, 0] = 0.9 if "high" in clip.label else 0.1
            scores[0, 2:10, 1] = 0.9 if "low" in clip.label else 0.1
        return [(scores.max(axis=1), scores) for scores in frames]

    monkeypatch.setattr(bundling, "score_clips", barks)
    post, fitted = tune_events(trained.network(), trained.material, np.arange(len(trained.material.manifest)))
    step_s = trained.network().grid.step_s(trained.material.recipe.frontend.sample_rate)
    assert median_size(post.medians_s["high"], step_s) <= 3 < median_size(post.medians_s["low"], step_s)
    assert all(0.1 < value <= 0.9 for value in fitted.values())


def test_labels_that_say_when_are_tuned_by_the_events_found(trained, monkeypatch):
    """A class that sinks to 0.5 in the middle needs a low end, and one that flickers a filter."""
    network, rate = trained.network(), trained.material.recipe.frontend.sample_rate
    step_s, manifest = network.grid.step_s(rate), trained.material.manifest
    begin = network.grid.span_s(2, 2, rate)[0]
    spans = [Event(label, begin, begin + 8 * step_s, 1.0) for label in manifest.labels]
    clips = tuple(replace(clip, events=tuple(spans)) for clip in manifest.clips)
    material = replace(trained.material, manifest=replace(manifest, clips=clips))

    def scores(network, material, clips):
        frames = np.full((1, 12, 2), 0.1, np.float32)
        frames[0, 2:10, 0] = [0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
        frames[0, 2:10, 1] = [0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.9]
        return [(frames.max(axis=1), frames) for _ in clips]

    monkeypatch.setattr(bundling, "score_clips", scores)
    post, fitted = tune_events(network, material, np.arange(len(clips)))
    assert set(post.off_ratios) == set(fitted) == set(manifest.labels)
    assert post.max_gap_s == bundling.POSTPROCESS.max_gap_s
    for column, label in enumerate(manifest.labels):
        frames = scores(network, material, clips[:1])[0][1][0, :, [column]].T
        smooth = median_smooth(frames, median_size(post.median_of(label), step_s))
        rule = segment_rule(
            [fitted[label]],
            off_ratio=post.off_ratio_of(label),
            min_event_s=0,
            max_gap_s=post.max_gap_s,
            step_s=step_s,
        )
        [segment] = find_segments(smooth, rule)
        assert segment.last - segment.first + 1 >= 5  # more than half of the event


def test_the_front_end_is_put_back_after_the_export(trained, spec):
    network = trained.network()
    before = network(torch.zeros(1, 4_000)).clip_logits
    content = export_checked(network, spec)
    assert isinstance(network.frontend, LogMel)
    assert torch.equal(network(torch.zeros(1, 4_000)).clip_logits, before)
    assert export_checked(network, spec) == content  # the same bytes each time


def test_no_model_is_written_if_the_graph_differs(trained, spec, tmp_path, monkeypatch):
    other = export_checked(trained.network(), spec)
    monkeypatch.setattr(bundling, "export_onnx", lambda graph, samples: other)
    shifted = Trained(
        {k: v + 0.1 if v.is_floating_point() else v for k, v in trained.weights.items()}, trained.material, 0
    )
    with pytest.raises(TrainingError, match="the exported graph's scores differ from torch's by"):
        finish(tmp_path / "m", shifted, NOBODY, NOBODY, {})
    assert not (tmp_path / "m" / "auricle.json").exists()


def test_golden_scores_are_made_by_the_graph(trained, spec):
    content = export_checked(trained.network(), spec)
    stored = np.load(io.BytesIO(golden(content, spec)), allow_pickle=False)
    assert stored["waveform"].shape == (1, 4_000)
    assert np.abs(stored["waveform"]).max() < 1
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    clip, frames, _ = session.run(None, {"waveform": stored["waveform"]})
    assert np.array_equal(stored["clip"], clip)
    assert np.array_equal(stored["frames"], frames)


def test_held_out_clips_are_scored_by_the_finished_model(trained, tmp_path):
    finish(tmp_path / "m", trained, NOBODY, NOBODY, {})
    indices = np.array([0, 5, 11])
    found = score_held_out(tmp_path / "m", trained, indices)
    clips = [trained.material.manifest.clips[i] for i in indices]
    expected = [windows.mean(0) for windows, _ in score_clips(trained.network(), trained.material, clips)]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-4)


# --- the card


def manifest(negatives: int = 0) -> Manifest:
    clips = [
        Clip("a", "a", ("x",)),
        Clip("b", "b", ("y",)),
        *[Clip(f"n{i}", "n", negative=True) for i in range(negatives)],
    ]
    return Manifest(root=Path("clips"), clips=tuple(clips), labels=("x", "y"), task="single", format="folders")


def test_a_card_without_held_out_data_claims_nothing(spec):
    card = model_card(spec, manifest(2), {})
    assert "\n---\n\n# toy\n" in card
    front = yaml.safe_load(card.split("---\n")[1])
    assert front == {
        "library_name": "auricle",
        "pipeline_tag": "audio-classification",
        "tags": ["audio", "auricle", "onnx", "crnn"],
    }, "no figure, and no licence that nobody gave"
    assert "network `crnn`, head `attention`" in card
    assert "windows of 0.5 s every 0.28 s" in card
    assert "Classes (single): high, low." in card
    assert "No part of the data was held out, so nothing is claimed." in card
    assert "4 clips of which 2 negatives" in card
    assert "It was trained on negatives too; other sounds may still set it off." in card
    assert "Licence of the data: not stated." in card


def test_a_card_keeps_dev_and_test_apart(spec):
    report = Report({"accuracy": Interval(0.875, 0.75, 0.95, 40)}, {}, 40, "0" * 64)
    card = model_card(spec.model_copy(update={"negatives": False}), manifest(), {"accuracy": 0.9}, report)
    assert "| test, scored once | accuracy | 0.875 | 0.75 – 0.95 | 40 |" in card
    (entry,) = yaml.safe_load(card.split("---\n")[1])["model-index"]
    (result,) = entry["results"]
    figure = {"type": "accuracy", "name": "accuracy, 95 % 0.75 to 0.95, n = 40", "value": 0.875}
    assert (entry["name"], result["metrics"]) == ("toy", [figure])
    assert "| dev, which selected the weights | accuracy | 0.9 | | |" in card
    assert "trained without negatives: every sound is taken for one of its classes" in card
    assert "`auricle detect recording.wav --model ./toy`" in card
