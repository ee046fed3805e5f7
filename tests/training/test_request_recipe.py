# SPDX-License-Identifier: Apache-2.0
"""Where training begins: at the built-in model general, unless a network, weights, keys or data say otherwise."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from helpers.toydata import RATE, Listener, signal_at, sound, write_folders
from safetensors.torch import load as load_tensors

from auricle import api
from auricle.batches.crops import scoring_windows
from auricle.data.formats.registry import read_manifest
from auricle.data.numpy_import import import_dataset
from auricle.errors import BundleError, ConfigError, Interrupted, RunError
from auricle.nn.frontends.logmel import LogMel, LogMelSpec
from auricle.nn.networks import build_network
from auricle.progress import Progress
from auricle.recipe.requests import TrainRequest
from auricle.recipe.schema import load_recipe
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.training import resume
from auricle.training.fit_class_layers import fit_class_layers, with_fitted_branch
from auricle.training.init_weights import initial_hash, initial_weights
from auricle.training.preparation import prepare, read_training_data, training_set
from auricle.training.request_recipe import make_request_recipe, recipe_of

GENERAL = load_bundle(resolve_model("general"))
#: A few steps of the network that general is.
SHORT = ("data.clip_s=1", "data.workers=0", "data.batch_size=4", "run.device=cpu", "run.threads=1", "optim.steps=4")


@pytest.fixture(scope="module", autouse=True)
def few_scenes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auricle.training.fit_class_layers.SCENES_A_CLASS", 10)
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("begin") / "clips", clips=4)


def recipe(*overrides, **settings):
    return recipe_of(TrainRequest("clips", out="m", overrides=overrides, **settings))


def test_who_names_nothing_begins_at_general_with_its_network_and_front_end():
    found = recipe("optim.epochs=3")
    assert (found.init.model, found.init.new_head, found.model.name) == ("general", True, "mobilenet")
    assert found.model.residuals == GENERAL.spec.model.residuals
    assert found.frontend.model_dump() == GENERAL.spec.frontend.model_dump()
    assert (found.optim.epochs, found.optim.lr, found.init.keep) == (3, 6e-4, 0.5)


@pytest.mark.parametrize("named", [{"model": "crnn"}, {"init": "none"}, {"overrides": ("init.model=none",)}])
def test_who_names_a_network_or_none_begins_from_nothing(named):
    found = recipe(*named.pop("overrides", ()), **named)
    assert (found.init.model, found.init.new_head, found.model.name) == ("none", False, "crnn")
    assert found == make_request_recipe("crnn", None, [], None)


def test_general_can_be_named_and_its_other_classes_go_without_saying():
    assert recipe(init="general") == recipe()
    assert recipe("init.new_head=false", init="general").init.new_head is False


def test_a_model_brings_its_network_and_what_is_said_beside_it_counts():
    found = recipe("model.dropout=0.4", init="esc10")
    assert (found.model.name, found.model.dropout) == (load_bundle(resolve_model("esc10")).spec.model.name, 0.4)
    assert found.frontend.model_dump() == load_bundle(resolve_model("esc10")).spec.frontend.model_dump()


@pytest.mark.parametrize(
    "key", ["model.width=0.5", "frontend.n_mels=40", "model.causal=true", "frontend.sample_rate=8000"]
)
def test_keys_of_another_network_begin_from_nothing_and_a_line_says_so(key):
    listener = Listener()
    found = recipe_of(TrainRequest("clips", out="m", overrides=[key]), progress=listener)
    assert (found.init.model, found.model.name) == ("none", "crnn")
    name = key.partition("=")[0]
    assert listener.notices == [
        f"training begins from nothing (network crnn): the recipe sets {name} otherwise than general, which was not "
        "named"
    ]


def test_a_recipe_file_counts_as_well(tmp_path):
    (tmp_path / "r.yaml").write_text("model: {dropout: 0.5}\naugment: {masks: 2}\n", encoding="utf-8")
    found = recipe(recipe=tmp_path / "r.yaml")
    assert (found.init.model, found.model.dropout, found.augment.masks) == ("general", 0.5, 2)
    (tmp_path / "r.yaml").write_text("frontend: {n_mels: 64}\n", encoding="utf-8")
    assert recipe(recipe=tmp_path / "r.yaml").init.model == "none"


def test_another_front_end_under_a_named_general_is_an_error(clips, tmp_path):
    with pytest.raises(BundleError, match=r"that of general is another one: n_mels 52 there, 40 in the recipe$"):
        api.train(clips, out=tmp_path / "m", init="general", overrides=[*SHORT, "frontend.n_mels=40"])


def test_logmels_are_trained_from_nothing_and_a_line_says_so(clips, tmp_path):
    stored = {**load_recipe().frontend.model_dump(mode="json"), "sample_rate": RATE}
    spec = LogMelSpec(RATE, stored["n_mels"], stored["window_ms"], stored["hop_ms"], stored["f_min"], stored["f_max"])

    def features(samples, sample_rate):
        return LogMel(spec)(torch.from_numpy(samples)[None])[0].numpy()

    import_dataset(read_manifest(clips), tmp_path / "npy", sample_rate=RATE, features=features, frontend=stored)
    listener = Listener()
    api.train(tmp_path / "npy", out=tmp_path / "m", overrides=[*SHORT, "data.clip_s=0.4"], progress=listener)
    assert load_recipe(tmp_path / "m" / "run" / "recipe.yaml").init.model == "none"
    assert "the data are log-mels, and general has a front end of its own" in " ".join(listener.notices)
    with pytest.raises(ConfigError, match=r"frontend\.name = 'logmel': network mobilenet has sinemel"):
        api.train(tmp_path / "npy", out=tmp_path / "named", overrides=SHORT, init="general")


def network_for(clips, *overrides):
    made = make_request_recipe(None, None, [*SHORT, *overrides], None, default="general")
    material = prepare(read_training_data(clips, made), made, Progress())
    torch.manual_seed(0)
    network = build_network(material.recipe, len(material.manifest.labels))
    initial_weights(network, "general", material, new_head=True)
    return network, material


def test_all_but_the_layers_that_know_classes_is_taken(clips):
    network, _ = network_for(clips)
    stored = load_tensors(GENERAL.read("model.safetensors"))
    own = network.state_dict()
    new = {name for name in own if not torch.equal(own[name], stored[name].to(own[name].dtype))}
    assert new == {"head.3.weight", "head.3.bias", "frame_head.weight", "frame_head.bias"}
    assert own["head.3.weight"].shape[0] == own["frame_head.weight"].shape[0] == 2


def test_the_last_layers_are_fitted_before_training(clips):
    """Two tones are told apart before the first step, by clips and by frames; of the rest only the branch has moved."""
    network, material = network_for(clips)
    fitted = (*network.class_layers, "branch.")
    before = {k: v.clone() for k, v in network.state_dict().items() if not k.startswith(fitted)}
    assert fit_class_layers(network, material, np.arange(len(material.manifest)))
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    network.eval()
    for clip, target in zip(material.manifest.clips, material.targets, strict=True):
        windows = scoring_windows(material.reader.read(clip), material.recipe, material.reader)
        output = network(torch.from_numpy(windows))
        assert torch.sigmoid(output.clip_logits)[0].argmax() == target.argmax()
        assert torch.sigmoid(output.frame_logits)[0].mean(0).argmax() == target.argmax()


def test_norms_keep_their_statistics_and_everything_else_moves(clips, tmp_path):
    api.train(clips, out=tmp_path / "m", overrides=[*SHORT, "optim.lr=0.001", "data.dev=none"])
    before, after = (
        load_tensors(bundle.read("model.safetensors")) for bundle in (GENERAL, load_bundle(tmp_path / "m"))
    )
    kept = {k for k in before if k.startswith(("stem.", "blocks.", "deep.")) and "running" in k}
    assert len(kept) > 20
    assert all(torch.equal(after[k], before[k].float()) for k in kept)
    assert not torch.equal(after["stem.0.weight"], before["stem.0.weight"].float())


def test_the_last_layer_stays_as_it_was_fitted(clips, tmp_path):
    """What lies below it learns to suit it."""
    network, material = network_for(clips)
    fit_class_layers(network, material, np.arange(len(material.manifest)))
    api.train(clips, out=tmp_path / "m", overrides=[*SHORT, "data.dev=none", "scenes.share=0"])
    weights = load_tensors(load_bundle(tmp_path / "m").read("model.safetensors"))
    torch.testing.assert_close(weights["head.3.weight"], network.head[-1].weight.data)
    assert not torch.equal(weights["head.0.weight"], network.head[0].weight)


def test_frames_are_fitted_on_scenes_and_say_when(clips, monkeypatch):
    """After it, a tone between two silences is heard where it sounds; no layer below the branch has moved."""
    monkeypatch.setattr("auricle.training.fit_class_layers.SCENES_A_CLASS", 40)
    network, material = network_for(clips)
    everything = np.arange(len(material.manifest))
    data = training_set(material, everything)
    assert data.frames_apart
    assert len(data.clips) == len(everything)
    fit_class_layers(network, material, everything)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    after = with_fitted_branch(before, material, everything)
    moved = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"branch", "frame_head"}
    network.load_state_dict(after)
    network.eval()
    tone = material.reader.read(next(clip for clip in material.manifest.clips if clip.label == ("high",)))
    samples = np.zeros(3 * 16_000, np.float32)
    samples[16_000 : 16_000 + len(tone)] = tone
    with torch.no_grad():
        scores = torch.sigmoid(network(torch.from_numpy(samples[None])).frame_logits)[0]
    column, times = material.manifest.labels.index("high"), network.grid.times(len(scores), 16_000)
    inside = (times > 1.1) & (times < 0.9 + len(tone) / 16_000)
    outside = (times < 0.8) | (times > 1.3 + len(tone) / 16_000)
    assert scores[inside, column].mean() > 0.5 > 0.25 > scores[outside, column].mean()


def test_keep_needs_something_to_begin_with():
    with pytest.raises(ConfigError, match=r"init\.keep is for init\.model, which is none"):
        make_request_recipe("crnn", None, ["init.keep=0.5"], None)


def test_a_class_without_a_clip_is_taken_to_be_rare(clips):
    network, material = network_for(clips)
    assert fit_class_layers(network, material, np.flatnonzero(material.targets[:, 0] > 0))
    assert network.head[-1].bias[1].item() == pytest.approx(np.log(1e-3))
    assert not network.head[-1].weight[1].any()


def test_other_networks_are_left_alone(clips):
    made = make_request_recipe("crnn", None, SHORT, None)
    material = prepare(read_training_data(clips, made), made, Progress())
    assert not fit_class_layers(build_network(made, 2), material, np.arange(len(material.manifest)))


@pytest.fixture(scope="module")
def model(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("begin") / "m"
    api.train(clips, out=out, overrides=SHORT)
    return out


def test_a_trained_model_tells_its_classes_and_says_where_it_began(model):
    detector = api.load(model)
    tone = sound("high", 33)
    assert next(iter(detector.tag(tone, RATE).scores)).label == "high"
    provenance = load_bundle(model).spec.provenance
    assert provenance.recipe["init"] == {"model": "general", "new_head": True, "keep": 0.5}
    assert provenance.initial_weights == GENERAL.spec.sha256["model.safetensors"]
    assert "Training began with the weights of `general` and a new last layer." in (model / "README.md").read_text()
    assert str(resolve_model("general").parent) not in (model / "auricle.json").read_text()
    assert str(resolve_model("general").parent) not in (model / "run" / "recipe.yaml").read_text()


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(clips, model, tmp_path):
    with pytest.raises(Interrupted):
        api.train(clips, out=tmp_path / "m", overrides=SHORT, progress=signal_at(2, signal.SIGINT))
    api.train(clips, out=tmp_path / "m", overrides=SHORT, resume=True)
    whole, parts = ((folder / "model.safetensors").read_bytes() for folder in (model, tmp_path / "m"))
    assert whole == parts


def test_the_weights_that_a_name_stands_for_are_part_of_a_run(clips, tmp_path, monkeypatch):
    """general may be another one in the next version: a run does not go on from it as if it were the same."""
    with pytest.raises(Interrupted):
        api.train(clips, out=tmp_path / "m", overrides=SHORT, progress=signal_at(2, signal.SIGINT))
    monkeypatch.setattr(resume, "initial_hash", lambda init: "other")
    with pytest.raises(RunError, match=r"cannot continue: .*initial_weights was"):
        api.train(clips, out=tmp_path / "m", overrides=SHORT, resume=True)


def test_the_hash_of_nothing_is_none(tmp_path):
    assert initial_hash(make_request_recipe("crnn", None, [], None).init) is None
    assert initial_hash(recipe().init) == GENERAL.spec.sha256["model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("path,label", "low/{}.wav,low;hum", "high/{}.wav,high"),
        ("path,event_label,onset,offset", "low/{}.wav,low,0.1,0.4", "high/{}.wav,high,0.1,0.4"),
    ],
)
def test_several_labels_and_labels_that_say_when_begin_there_too(clips, header, low, high, tmp_path):
    rows = [header, *(row.format(i) for row in (low, high) for i in range(4))]
    table = clips / f"rows-{header.count(',')}.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = api.train(table, out=tmp_path / "m", overrides=SHORT)
    spec = load_bundle(tmp_path / "m").spec
    assert (spec.task, spec.model.name, result.steps) == ("multi", "mobilenet", 4)
