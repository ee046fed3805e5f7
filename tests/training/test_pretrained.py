# SPDX-License-Identifier: Apache-2.0
"""Networks as modules of torch, and embeddings as a step of scikit-learn."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from helpers.tinybundle import make_bundle
from helpers.tinyteachers import write_efficientat

import auricle
from auricle.errors import BundleError, InputError, UsageError
from auricle.nn.losses import clip_scores


@pytest.mark.parametrize(("name", "tolerance"), [("esc10", 1e-3), ("spoof", 1e-3), ("general", 0.02)])
def test_the_module_scores_as_the_graph(name, tolerance):
    network, detector = auricle.from_pretrained(name), auricle.load(name)
    waveform = (
        0.1 * torch.randn(2, detector.spec.window_samples, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    output = network(waveform)
    ours = clip_scores(output.clip_logits, detector.spec.task, negatives=detector.spec.negatives)
    graph = detector.network.run(waveform.detach().numpy()).clip
    assert np.abs(ours.detach().numpy() - graph).max() < tolerance
    assert not network.training
    output.clip_logits.sum().backward()
    assert torch.isfinite(waveform.grad).all()
    assert (waveform.grad != 0).any()


def test_an_imported_network_is_a_module_too(tmp_path):
    auricle.import_model(write_efficientat(tmp_path / "in"), out=tmp_path / "out", window_s=1.0)
    network, detector = auricle.from_pretrained(tmp_path / "out"), auricle.load(tmp_path / "out")
    sound = torch.randn(1, 32_000) * 0.1
    graph = detector.network.run(sound.numpy()).clip
    assert np.abs(torch.sigmoid(network(sound).clip_logits).detach().numpy() - graph).max() < 1e-4


def test_a_model_without_weights_for_training_says_so(tmp_path):
    path = make_bundle(tmp_path / "tiny").path
    with pytest.raises(BundleError) as caught:
        auricle.from_pretrained(path)
    assert str(caught.value) == (
        f"{path} has no model.safetensors: it can be used with auricle.load, but is no module of torch"
    )


RATE = 16_000
TONE = np.sin(np.arange(RATE) / 5).astype(np.float32)
NOISE = np.random.default_rng(0).standard_normal((4, RATE)).astype(np.float32) * 0.1


def test_embeddings_are_a_step_of_a_pipeline():
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    steps = make_pipeline(auricle.Embedder(sample_rate=RATE), LogisticRegression())
    sounds = [*NOISE[:3], TONE, 0.5 * TONE, 0.25 * TONE]
    steps.fit(sounds, ["noise"] * 3 + ["tone"] * 3)
    assert list(steps.predict([NOISE[3], 0.7 * TONE])) == ["noise", "tone"]
    assert clone(steps).get_params()["embedder__sample_rate"] == RATE
    assert len(pickle.dumps(steps)) < 100_000  # without the model
    assert list(pickle.loads(pickle.dumps(steps)).predict([NOISE[3]])) == ["noise"]


def test_a_row_is_what_embed_gives():
    embedder, detector = auricle.Embedder("general", sample_rate=RATE), auricle.load("general")
    rows = embedder.fit_transform([TONE, NOISE[0]])
    assert np.array_equal(rows[1], detector.embed(NOISE[0], RATE).embedding)
    assert list(embedder.get_feature_names_out())[-1] == f"e{rows.shape[1] - 1}"


def test_what_cannot_be_embedded_is_no_row(tmp_path):
    embedder = auricle.Embedder("general")
    with pytest.raises(InputError, match=r"x.wav: no such file"):
        embedder.transform([tmp_path / "x.wav"])
    with pytest.raises(UsageError, match="no recording to embed"):
        embedder.transform([])
    with pytest.raises(UsageError, match="got one path; expected a list of recordings"):
        embedder.transform("x.wav")
