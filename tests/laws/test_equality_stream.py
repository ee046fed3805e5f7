# SPDX-License-Identifier: Apache-2.0
"""The second equality, over every registered network and head: stream = whole file, however it is cut.

For causal models the scores of a stream are those of the network over the whole recording at once; the others are
scored by the bundle's windows, in a stream as in a file.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auricle.cli.doctor_checks import examine_model
from auricle.exporting.onnx import ScoringGraph
from auricle.results import Event, Scores
from auricle.runtime.onnx_session import FRAMES, open_network, open_running
from auricle.runtime.spec import STREAM_FILES
from auricle.runtime.tracker import median_sizes
from auricle.timeline import seconds_to_samples

#: Between any two ways to the same frame score.
TOLERANCE = 1e-5
#: The GRU of these small models forgets a hole in the sound within this time: to 1e-3 in 0.5 s, to 2e-5 in 1 s.
MEMORY_S = 1.5
#: Sample rates, and sizes of the pieces in samples: each size at the model's rate, each other rate with two sizes. That
#: pieces are resampled as the whole, at any rate and of any size, ``tests/audio/test_resample.py`` holds.
CUTS = [
    *(("own", size) for size in (1, 7, 160, 1_000, 16_000, "random")),
    *((16_000, 1), (16_000, 1_000), (44_100, 7), (44_100, "random"), (48_000, 160), (48_000, 16_000)),
]


def sound(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Tones that come and go over noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(seconds_to_samples(seconds, rate)) / rate
    tones = np.sin(2 * np.pi * np.where(times % 0.4 < 0.2, 500, 1_500) * times)
    return (0.3 * tones * (times % 0.7 < 0.4) + 0.05 * rng.standard_normal(len(times))).astype(np.float32)


def blocks_of(samples: np.ndarray, chunk: int | str) -> list[np.ndarray]:
    if chunk != "random":
        return np.split(samples, range(int(chunk), len(samples), int(chunk)))
    rng = np.random.default_rng(1)
    return np.split(samples, np.cumsum(rng.integers(0, 4_000, 200)))


def run(stream, blocks) -> tuple[Scores, list[Event]]:
    items = [item for block in blocks for item in stream.push(block)] + stream.flush()
    scores = [item for item in items if isinstance(item, Scores)]
    joined = [np.concatenate([getattr(part, name) for part in scores]) for name in ("times", "values")]
    return Scores(*joined, scores[0].labels, scores[0].step_s), [i for i in items if isinstance(i, Event)]


def in_order(events, labels) -> list[Event]:
    return sorted(events, key=lambda event: (event.onset, labels.index(event.label)))


def same_events(found, expected, labels) -> None:
    found, expected = in_order(found, labels), in_order(expected, labels)
    assert [(e.label, e.onset, e.offset) for e in found] == [(e.label, e.onset, e.offset) for e in expected]
    np.testing.assert_allclose([e.score for e in found], [e.score for e in expected], atol=TOLERANCE)


@pytest.mark.parametrize(("rate", "chunk"), CUTS)
def test_a_stream_is_the_whole_recording(model, rate, chunk):
    """Less of a second where samples come one by one: two frames of a causal model, or one padded window."""
    rate, causal = model.bundle.spec.sample_rate if rate == "own" else rate, model.bundle.spec.model.causal
    seconds = {1: 0.1 if causal else 0.03, 7: 0.4 if causal else 0.1}.get(chunk, 1.5)
    samples = sound(seconds, rate)
    detector = model.detector
    expected = detector.frames(samples, rate)
    threshold = float(np.median(expected.values)) if expected.values.size else 0.5
    found, events = run(detector.stream(rate, threshold=threshold), blocks_of(samples, chunk))
    np.testing.assert_array_equal(found.times, expected.times)
    np.testing.assert_allclose(found.values, expected.values, atol=TOLERANCE)
    same_events(events, detector.detect(samples, rate, threshold=threshold).events, detector.labels)


# --- causal models


@pytest.mark.parametrize("samples", [320, 5_000, 12_007])
def test_a_file_is_the_network_over_the_whole_recording(causal, samples):
    """In torch, in one call, with no window; zeros complete the last frame."""
    spec, waveform = causal.bundle.spec, sound(2.0, causal.bundle.spec.sample_rate)[:samples]
    found = causal.detector.frames(waveform, spec.sample_rate)
    padded = np.pad(waveform, (0, -samples % spec.frames.hop_samples))
    graph = ScoringGraph(causal.network(), spec.task, negatives=spec.negatives).eval()
    with torch.inference_mode():
        _, frames, _ = graph(torch.from_numpy(padded[None]))
    expected = frames[0].numpy()[: spec.grid.frames_before(samples)]
    np.testing.assert_allclose(found.values, expected, atol=TOLERANCE)


def test_the_running_clip_score_is_that_of_the_whole(causal):
    """In pieces of any size, and for recordings that share a call."""
    spec, running = causal.bundle.spec, open_running(causal.bundle)
    hop = spec.frames.hop_samples
    waveform = np.stack([sound(2.0, spec.sample_rate, seed)[: 40 * hop] for seed in (1, 2)])
    graph = ScoringGraph(causal.network(), spec.task, negatives=spec.negatives).eval()
    state, at = None, 0
    for count in (1, 3, 11, 25):
        found = running.advance(waveform[:, at * hop : (at + count) * hop], state)
        state, at = found.state, at + count
        with torch.inference_mode():
            clip, *_ = graph(torch.from_numpy(waveform[:, : at * hop]))
        np.testing.assert_allclose(found.clip, clip.numpy(), atol=TOLERANCE)


def test_a_causal_stream_answers_within_a_frame(causal):
    """Its latency is a frame, smoothing and the shortest event; no window is waited for."""
    spec = causal.bundle.spec
    post, step_s = spec.postprocess, spec.grid.step_s(spec.sample_rate)
    smoothing = max(median_sizes(spec)) // 2 * step_s
    stream = causal.detector.stream(spec.sample_rate)
    assert stream.latency_s == pytest.approx(step_s + smoothing + post.min_event_s)
    assert stream.push(np.zeros(spec.frames.hop_samples - 1, np.float32)) == []
    assert stream.samples_to_next == 1
    [scores] = stream.push(np.zeros(1, np.float32))
    assert scores.values.shape == (1, len(spec.labels))


def test_what_is_no_sound_is_forgotten(causal):
    """NaN counts as silence; a second and some later the scores are those of the sound without the hole."""
    spec = causal.bundle.spec
    clean = sound(5.0, spec.sample_rate)
    dirty, silent = clean.copy(), clean.copy()
    hole = slice(2 * spec.sample_rate, 2 * spec.sample_rate + 700)
    dirty[hole], silent[hole] = np.nan, 0
    stream = causal.detector.stream(spec.sample_rate)
    found, _ = run(stream, blocks_of(dirty, 1_000))
    assert [flag.to_dict() for flag in stream.flags] == [{"code": "nonfinite", "count": 700}]
    expected, _ = run(causal.detector.stream(spec.sample_rate), blocks_of(silent, 1_000))
    np.testing.assert_array_equal(found.values, expected.values)
    difference = np.abs(found.values - causal.detector.frames(clean, spec.sample_rate).values).max(axis=1)
    before = found.times < 2.0
    assert difference[before].max() <= TOLERANCE
    assert difference.max() > 1e-3, "the hole is heard"
    assert difference[found.times > MEMORY_S + 2.1].max() <= TOLERANCE


def test_a_window_is_heard_alike_by_both_graphs(causal):
    """The frames of a first window, by ``model.onnx``, are those that ``stream.onnx`` gives."""
    spec = causal.bundle.spec
    window = sound(2.0, spec.sample_rate)[: spec.window_samples]
    expected = open_network(causal.bundle).run(window[None], frozenset({FRAMES})).frames[0]
    found = causal.detector.frames(window, spec.sample_rate).values
    np.testing.assert_allclose(found[: len(expected)], expected, atol=TOLERANCE)


def test_doctor_hears_the_stream(causal):
    checks = {check.name: check for check in examine_model(str(causal.path))}
    assert checks["golden scores, stream"].ok, checks["golden scores, stream"].text


def test_only_causal_models_have_the_file(model):
    assert (STREAM_FILES["float32"] in model.bundle) == model.bundle.spec.model.causal
    assert (open_network(model.bundle).running is not None) == model.bundle.spec.model.causal
