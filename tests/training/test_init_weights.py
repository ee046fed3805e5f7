# SPDX-License-Identifier: Apache-2.0
"""Starting from another model's weights: never silently, never half."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.toydata import TINY, in_two_folds, signal_at, tiny, write_folders
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from auricle import api
from auricle.errors import BundleError, ConfigError, Interrupted, RunError
from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
from auricle.nn.modules.efficientat import EfficientAt, to_checkpoint
from auricle.nn.networks import build_network
from auricle.progress import Progress
from auricle.recipe.schema import InitSection, load_recipe
from auricle.runtime.bundle import load_bundle, write_bundle
from auricle.training.init_weights import begin_at_prior, initial_weights
from auricle.training.preparation import prepare, read_training_data


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("initial") / "clips", clips=4)


@pytest.fixture(scope="module")
def other_clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("initial") / "other", clips=4, labels=("low", "mid", "top"))


@pytest.fixture(scope="module")
def model(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("initial") / "m"
    api.train(clips, out=folder, overrides=[*TINY, "optim.epochs=1"])
    return folder


def begin(model, data, *overrides, new_head=False):
    """Return a network that starts from ``model``."""
    recipe = tiny(*overrides)
    material = prepare(read_training_data(data, recipe), recipe, Progress())
    torch.manual_seed(1)
    network = build_network(material.recipe, len(material.manifest.labels))
    initial_weights(network, str(model), material, new_head=new_head)
    return network


def test_all_weights_are_taken(model, clips):
    stored = load_tensors((model / "model.safetensors").read_bytes())
    found = begin(model, clips).state_dict()
    assert set(found) == set(stored)
    assert all(torch.equal(found[name], stored[name]) for name in stored)


def test_other_classes_need_a_new_head(model, other_clips):
    with pytest.raises(BundleError) as caught:
        begin(model, other_clips)
    assert str(caught.value) == (
        f"{model} knows the classes high, low; the data has low, mid, top: pass --new-head to train a new last layer"
    )


def test_a_new_head_is_new_and_the_rest_is_taken(model, other_clips):
    stored = load_tensors((model / "model.safetensors").read_bytes())
    found = begin(model, other_clips, new_head=True).state_dict()
    assert found["head.frame.weight"].shape[0] == 3
    assert all(torch.equal(found[name], stored[name]) for name in found if not name.startswith(("head.", "texture.")))


def test_a_new_head_for_the_same_classes_is_new_too(model, clips):
    stored = load_tensors((model / "model.safetensors").read_bytes())
    found = begin(model, clips, new_head=True).state_dict()
    assert not torch.equal(found["head.frame.weight"], stored["head.frame.weight"])


def test_another_front_end_is_refused(model, clips):
    with pytest.raises(BundleError) as caught:
        begin(model, clips, "frontend.n_mels=20", "frontend.hop_ms=8")
    assert str(caught.value) == (
        f"the front end is part of a model, and that of {model} is another one: "
        "hop_ms 10.0 there, 8.0 in the recipe, n_mels 16 there, 20 in the recipe"
    )


def test_another_architecture_is_refused(model, clips):
    expected = r"is of another architecture: \d+ weights differ, the first is blocks\.1\.conv\.weight; give the recipe"
    with pytest.raises(BundleError, match=expected):
        begin(model, clips, "model.width=0.5")


def test_c5_weights_that_are_not_finite_are_refused(model, clips, tmp_path):
    bundle = load_bundle(model)
    weights = load_tensors(bundle.read("model.safetensors"))
    weights["gru.weight_hh_l0"][0, 0] = torch.nan
    files = {"model.onnx": bundle.read("model.onnx"), "model.safetensors": save_tensors(weights)}
    write_bundle(tmp_path / "bad", bundle.spec, files)
    expected = r"bad holds weights that are not finite, the first is gru\.weight_hh_l0; take another model$"
    with pytest.raises(BundleError, match=expected):
        begin(tmp_path / "bad", clips)


def test_a_model_without_weights_cannot_be_trained_further(model, clips, tmp_path):
    bundle = load_bundle(model)
    write_bundle(tmp_path / "bare", bundle.spec, {"model.onnx": bundle.read("model.onnx")})
    with pytest.raises(BundleError, match=r"bare has no model\.safetensors: it can be used, but not trained further$"):
        begin(tmp_path / "bare", clips)


def test_a_run_starts_from_it(model, other_clips, tmp_path):
    """With a rate of nearly nothing, the body stays where it began."""
    settings = [*TINY, "optim.epochs=1", "optim.lr=1e-9", "optim.ema=0"]
    api.train(other_clips, out=tmp_path / "m", overrides=settings, init=str(model), new_head=True)
    before, after = (load_tensors((folder / "model.safetensors").read_bytes()) for folder in (model, tmp_path / "m"))
    torch.testing.assert_close(after["gru.weight_hh_l0"], before["gru.weight_hh_l0"], atol=1e-6, rtol=0)
    assert load_bundle(tmp_path / "m").spec.labels == ("low", "mid", "top")


def test_it_is_kept_in_recipe_model_and_card(model, other_clips, tmp_path):
    settings = [*TINY, "optim.epochs=1"]
    out = tmp_path / "m"
    api.train(other_clips, out=out, overrides=settings, init=str(model), new_head=True)
    assert load_recipe(out / "run" / "recipe.yaml").init == InitSection(model=str(model), new_head=True)
    assert load_bundle(out).spec.provenance.recipe["init"] == {"model": "m", "new_head": True, "keep": 0.0}
    assert "Training began with the weights of `m` and a new last layer." in (out / "README.md").read_text()
    api.train(other_clips, out=tmp_path / "again", recipe=out / "run" / "recipe.yaml")
    again, first = (load_tensors((folder / "model.safetensors").read_bytes()) for folder in (tmp_path / "again", out))
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_a_model_that_began_at_random_says_nothing_of_it(model):
    assert load_bundle(model).spec.provenance.recipe["init"] == {"model": "none", "new_head": False, "keep": 0.0}
    assert "began with" not in (model / "README.md").read_text()


def test_a_run_goes_on_and_is_forked_from_the_same_weights_only(model, clips, tmp_path):
    words, out = [*TINY, "optim.epochs=3"], tmp_path / "m"
    with pytest.raises(Interrupted):
        api.train(clips, out=out, overrides=words, init=str(model), progress=signal_at(2, signal.SIGINT))
    with pytest.raises(RunError, match=r"cannot continue: .*init\.model was '.*m', is 'none'; .* with --fork"):
        api.train(clips, out=out, overrides=words, resume=True)
    with pytest.raises(RunError, match=r"m cannot be forked: its weights began otherwise \(init\.model was"):
        api.train(clips, out=out, overrides=words, fork=tmp_path / "other")
    api.train(clips, out=out, overrides=words, fork=tmp_path / "fork", init=str(model))
    api.train(clips, out=out, overrides=words, resume=True, init=str(model))
    fork, whole = ((folder / "model.safetensors").read_bytes() for folder in (tmp_path / "fork", out))
    assert fork == whole


def test_a_new_head_of_nothing_is_refused(clips, tmp_path):
    with pytest.raises(ConfigError, match=r"init\.new_head is for init\.model, which is none"):
        api.train(clips, out=tmp_path / "m", overrides=TINY, new_head=True)


def test_crossval_begins_every_fold_with_it_and_keeps_it(model, clips, tmp_path):
    words = [*TINY, "optim.epochs=1", "optim.lr=1e-9", "optim.ema=0"]
    data = in_two_folds(clips, tmp_path / "data")
    result = api.crossval(data, out=tmp_path / "cv", overrides=words, init=str(model))
    assert result.recipe["init"]["model"] == str(model)
    before, after = (
        load_tensors((folder / "model.safetensors").read_bytes()) for folder in (model, tmp_path / "cv" / "fold1")
    )
    torch.testing.assert_close(after["gru.weight_hh_l0"], before["gru.weight_hh_l0"], atol=1e-6, rtol=0)
    with pytest.raises(RunError, match="another recipe"):
        api.crossval(data, out=tmp_path / "cv", overrides=words)


def test_a_damaged_model_is_no_start(model, clips, tmp_path):
    spoilt = shutil.copytree(model, tmp_path / "spoilt")
    (spoilt / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(BundleError, match="is damaged or was changed"):
        begin(spoilt, clips)


@pytest.fixture
def published(tmp_path):
    """A checkpoint of EfficientAT under its published names, of the smallest width, for five classes."""
    torch.manual_seed(0)
    network = EfficientAt(KaldiMelSpec(), 5, width=0.125)
    torch.save(to_checkpoint(network), tmp_path / "mn.pt")
    return tmp_path / "mn.pt", network


def test_a_published_checkpoint_gives_all_but_its_last_layer(published, clips):
    path, network = published
    recipe = load_recipe(None, ["model.width=0.125"], base={"model": {"name": "efficientat"}})
    material = prepare(read_training_data(clips, recipe), recipe, Progress())
    fresh = build_network(recipe, 2)
    initial_weights(fresh, str(path), material, new_head=True)
    stored, found = network.state_dict(), fresh.state_dict()
    assert all(torch.equal(v, stored[k]) for k, v in found.items() if not k.startswith("head.3."))
    assert found["head.3.weight"].shape == (2, 160)
    with pytest.raises(BundleError, match=r"mn\.pt knows 5 classes of AudioSet, the data has 2: pass --new-head"):
        initial_weights(fresh, str(path), material, new_head=False)
    wider = build_network(load_recipe(None, [], base={"model": {"name": "efficientat"}}), 2)
    with pytest.raises(BundleError, match=r"has width 0\.125 and .*: set model\.width=0\.125"):
        initial_weights(wider, str(path), material, new_head=True)
    expected = r"holds published weights, .* crnn does not begin: train it with --model efficientat or --model mobile"
    with pytest.raises(BundleError, match=expected):
        initial_weights(build_network(tiny(), 2), str(path), replace(material, recipe=tiny()), new_head=True)


def test_a_published_checkpoint_gives_a_student_its_first_layers(published, clips):
    path, network = published
    recipe = load_recipe(None, ["model.width=0.125"], base={"model": {"name": "mobilecrnn"}})
    material = prepare(read_training_data(clips, recipe), recipe, Progress())
    torch.manual_seed(1)
    fresh = build_network(recipe, 2)
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    initial_weights(fresh, str(path), material, new_head=True)
    stored = network.state_dict()
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, stored[name] if name.startswith("feature_map.") else before[name])
    with pytest.raises(BundleError, match=r"mn\.pt knows 5 classes of AudioSet, the data has 2: pass --new-head"):
        initial_weights(fresh, str(path), material, new_head=False)


def test_a_head_may_begin_at_how_often_classes_are_there():
    head = build_network(tiny(), 3).head
    begin_at_prior(head, np.array([[1, 0, 0.5], [0, 0, 0]], np.float32))
    assert torch.sigmoid(head.frame.bias).tolist() == pytest.approx([0.5, 0.001, 0.25], abs=1e-6)
    other = build_network(tiny("model.head=concat_mlp"), 3).head
    before = {k: v.clone() for k, v in other.state_dict().items()}
    begin_at_prior(other, np.zeros((1, 3), np.float32))
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())
