# SPDX-License-Identifier: Apache-2.0
"""Training on stored log-mels: the model that comes out hears audio, by the very features it was trained on."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from helpers.toydata import RATE, TINY, sound, tiny, write_folders
from safetensors.torch import load as load_tensors

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.numpy_import import import_dataset
from auricle.nn.frontends.logmel import GraphLogMel, LogMel, LogMelSpec
from auricle.nn.networks import build_network
from auricle.progress import Progress
from auricle.recipe.schema import make_recipe
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import load
from auricle.training.bundling import Trained, score_clips, score_held_out
from auricle.training.preparation import prepare, read_training_data

FRONTEND = tiny().frontend
SPEC = LogMelSpec.of(FRONTEND)


def features(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    assert sample_rate == RATE
    return LogMel(SPEC)(torch.from_numpy(samples)[None])[0].numpy()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Clips of exactly one window, as log-mels with folds."""
    folder = tmp_path_factory.mktemp("logmel")
    clips = write_folders(folder / "clips", clips=6)
    for path in clips.rglob("*.wav"):
        soundfile.write(path, sound(path.parent.name, int(path.stem), 0.5), RATE, subtype="FLOAT")
    rows = [f"{label}/{i}.wav,{label},{i % 3}" for label in ("low", "high") for i in range(6)]
    (clips / "t.csv").write_text("\n".join(["filename,label,fold", *rows]) + "\n")
    import_dataset(
        read_manifest(clips / "t.csv"),
        folder / "arrays",
        sample_rate=RATE,
        features=features,
        frontend=FRONTEND.model_dump(mode="json"),
    )
    return folder / "arrays"


@pytest.fixture(scope="module")
def model(stored, tmp_path_factory):
    # The front end comes with the data: what the recipe says of it does not matter.
    overrides = [*TINY, "frontend.n_mels=40", "frontend.hop_ms=5", "optim.epochs=1"]
    folder = tmp_path_factory.mktemp("logmel") / "m"
    result = api.train(stored, out=folder, overrides=overrides, test_fold="1")
    assert result.test.n == 4
    return folder


def test_the_model_takes_the_front_end_of_its_data(model):
    spec = load_bundle(model).spec
    assert spec.frontend.model_dump() == FRONTEND.model_dump()
    recipe = spec.provenance.recipe
    assert (recipe["augment"]["speed"], recipe["augment"]["noise_snr_db"]) == ([1.0, 1.0], None)


def test_the_graph_computes_the_stored_features(stored, model):
    """The model's front end in the form that is exported, against the arrays on disk."""
    recipe = make_recipe(load_bundle(model).spec.provenance.recipe)
    frontend = build_network(recipe, 2).for_export().frontend
    assert isinstance(frontend, GraphLogMel)
    for label, number in (("low", 0), ("high", 5)):
        waveform = torch.from_numpy(sound(label, number, 0.5))[None]
        on_disk = np.load(stored / label / f"{number}.npy")
        np.testing.assert_allclose(frontend(waveform)[0].numpy(), on_disk, atol=1e-4)


def test_audio_gets_the_scores_of_its_stored_features(stored, model):
    recipe = make_recipe(load_bundle(model).spec.provenance.recipe)
    material = prepare(read_training_data(stored, recipe), recipe, Progress())
    weights = load_tensors(load_bundle(model).read("model.safetensors"))
    trained = Trained(weights, material, 0)
    detector = load(model)
    for index in (0, 7):
        clip = material.manifest.clips[index]
        ((windows, _),) = score_clips(trained.network(), material, [clip])
        label, name = clip.key.split("/")
        tagged = {s.label: s.score for s in detector.tag(sound(label, int(name[:-4]), 0.5), RATE).scores}
        np.testing.assert_allclose([tagged[n] for n in detector.labels], windows.mean(0), atol=1e-4)
        np.testing.assert_allclose(score_held_out(model, trained, np.array([index]))[0], windows.mean(0), atol=1e-6)
