# SPDX-License-Identifier: Apache-2.0
"""Recipes: read strictly, refused with every problem at once, and nothing in them is executed or expanded."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import yaml

import auricle
from auricle.errors import ConfigError
from auricle.recipe.network import NETWORKS
from auricle.recipe.schema import MAX_YAML_BYTES, dump_recipe, load_recipe, make_recipe


@pytest.fixture
def recipe_file(tmp_path):
    def write(text: str):
        path = tmp_path / "r.yaml"
        path.write_text(text)
        return path

    return write


def problems_of(path=None, overrides=()) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, overrides)
    return caught.value.problems


def test_what_is_written_is_read_back(tmp_path):
    recipe = load_recipe(None, ["optim.lr=1e-3", "seed=5", "augment.noise_snr_db=null"])
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "r.yaml") == recipe
    assert (recipe.optim.lr, recipe.seed, recipe.augment.noise_snr_db) == (0.001, 5, None)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("optim: {epoch: 3}", "unknown key optim.epoch (did you mean 'epochs'?); known here: name, lr, "),
        ("optin: {epochs: 3}", "unknown key optin (did you mean 'optim'?); known here: task, model, "),
        ("model: {layers: {a: 1}}", "unknown key model.layers"),
    ],
)
def test_c15_an_unknown_key_is_told_with_the_nearest(recipe_file, text, start):
    (problem,) = problems_of(recipe_file(text))
    assert problem.startswith(start)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("optim.lr=fast", "optim.lr = 'fast': input should be a valid number"),
        (
            "optim.epochs=1.5",
            "optim.epochs = 1.5: input should be a valid integer, got a number with a fractional part",
        ),
        ("optim.epochs=yes", "optim.epochs = True: input should be a number or text, not yes or no"),
        ("data.clip_s=true", "data.clip_s = True: input should be a number or text, not yes or no"),
        ("optim=3", "optim = 3: input should be a valid dictionary or instance of OptimSection"),
        ("augment.speed=1", "augment.speed = 1: input should be a valid tuple"),
        ("model.head=mlp", "model.head = 'mlp': input should be 'attention', 'linear_softmax' or 'concat_mlp'"),
    ],
)
def test_c16_a_wrong_type_is_told_with_its_path(setting, problem):
    (found,) = problems_of(None, [setting])
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.batch_size=0"], ["data.batch_size = 0: input should be greater than or equal to 1"]),
        (["optim.lr=-1"], ["optim.lr = -1: input should be greater than 0"]),
        (["optim.lr=.nan"], ["optim.lr = nan: input should be a finite number"]),
        (["data.clip_s=.inf"], ["data.clip_s = inf: input should be "]),
        (["data.clip_s=1e9"], ["data.clip_s = '1e9': input should be less than or equal to 600"]),
        (["data.clip_s=1", "data.hop_s=2"], ["data.hop_s 2 is above data.clip_s 1: parts of a recording would be"]),
        (["frontend.f_max=9000"], ["frontend.f_max 9000 Hz is above half the sample rate (8000 Hz)"]),
        (["frontend.f_min=8000"], ["frontend.f_min 8000 Hz is not below the highest mel edge"]),
        (["frontend.hop_ms=50"], ["frontend.hop_ms 50 is above frontend.window_ms 40: samples would be skipped"]),
        (["augment.speed=[2, 1]"], ["augment.speed [2.0, 1.0] is not a range from low to high"]),
        (
            ["data.batch_size=0", "optim.lr=0", "run.keep_checkpoints=0", "seed=-1"],
            ["data.batch_size = 0", "optim.lr = 0", "run.keep_checkpoints = 0", "seed = -1"],
        ),
        (
            ["frontend.f_max=9000", "data.hop_s=9", "augment.freq_mask_mels=65"],
            ["frontend.f_max 9000", "data.hop_s 9", "augment.freq_mask_mels 65 is above frontend.n_mels 64"],
        ),
    ],
)
def test_c17_impossible_values_are_told_all_at_once(settings, words):
    found = problems_of(None, settings)
    assert len(found) == len(words)
    assert all(problem.startswith(word) for problem, word in zip(found, words, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "seed: !!python/object:os.system {}",
        "seed: !!python/name:os.system",
        "a: &a [1]\nb: [*a, *a, *a]",
        "seed: 1\nseed: 2",
        "seed: [",
        "[" * 2_000,
        "- 1\n- 2",
    ],
)
def test_c18_nothing_is_executed_unfolded_or_guessed(recipe_file, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert all("\n" not in problem for problem in problems_of(recipe_file(text)))
    assert not (tmp_path / "pwned").exists()


def test_c18_a_huge_file_is_not_parsed(recipe_file):
    (problem,) = problems_of(recipe_file("#" * (MAX_YAML_BYTES + 1)))
    assert problem == f"{MAX_YAML_BYTES + 1} characters; a recipe has at most {MAX_YAML_BYTES}"


@pytest.mark.parametrize("text", ["~/labels.csv", "$HOME/labels.csv", "${HOME}.csv", "%USERPROFILE%", "`id`"])
def test_c19_nothing_is_expanded(recipe_file, text):
    assert load_recipe(recipe_file(f"teacher: {{labels: '{text}'}}")).teacher.labels == text


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.yaml", tmp_path / "r.yaml"):
        with pytest.raises(ConfigError, match=rf"the recipe {path} cannot be read"):
            load_recipe(path)


def test_overrides_that_cannot_be_read():
    assert problems_of(None, ["optim"]) == ("'optim': expected name=value, such as optim.epochs=20",)
    assert problems_of(None, ["seed.a=1", "seed.a.b=1"]) == ("'seed.a.b=1': a is a value, not a section",)
    with pytest.raises(ConfigError, match="is not a table of settings"):
        make_recipe([1])


#: Of version 0.1: what `run/recipe.yaml` and `auricle.json` say of a network, with the keys of all others.
RAW_THEN = {
    **{"first": "conv", "kernel": 128, "stride": 32, "rectify": "none", "level": False, "centre": False},
    **{"filter_mask": 0, "channels": [64, 64, 128], "block_kernel": 3, "pools": [1, 4, 4], "hidden": 64},
}
THEN = {"causal": False, "time_stride": 2, "width": 1.0, "dropout": 0.1, "texture": True, "raw": RAW_THEN}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("augment.filter_share=0.3", "augment.filter_share = 0.3: network crnn does not use this key; leave it out"),
        ("augment.copies=2", "augment.copies = 2: network crnn does not use this key; leave it out"),
        ("augment.codecs=[gsm]", "augment.codecs = ('gsm',): network crnn does not use this key; leave it out"),
        (
            "model.raw.hidden=7",
            "unknown key model.raw of network crnn; known here: "
            "name, head, causal, time_stride, width, dropout, texture",
        ),
        ("frontend.name=kaldimel", "frontend.name = 'kaldimel': network crnn has logmel"),
    ],
)
def test_a_key_that_the_network_does_not_use_is_an_error(setting, problem):
    assert problems_of(None, [setting]) == (problem,)


def test_keys_of_the_front_end_that_the_network_does_not_use_are_errors():
    assert problems_of(None, ["model.name=rawnet", "frontend.n_mels=32", "augment.equaliser_db=3"]) == (
        "frontend.n_mels = 32: network rawnet does not use this key; leave it out",
        "augment.equaliser_db = 3.0: network rawnet does not use this key; leave it out",
    )


@pytest.mark.parametrize("name", NETWORKS.names())
def test_a_whole_recipe_is_read_back_whatever_the_network(name):
    recipe = make_recipe({"model": {"name": name}})
    assert make_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe
    assert type(pickle.loads(pickle.dumps(recipe)).model) is type(recipe.model)


def test_a_recipe_begins_with_the_defaults_of_its_network():
    recipe = load_recipe(None, ["model.name=rawnet", "data.pad=zero"])
    assert (recipe.frontend.name, recipe.data.batch_size, recipe.data.pad) == ("waveform", 32, "zero")
    assert recipe.model.raw.first == "fourier"


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ({**THEN, "name": "crnn", "head": "attention"}, {"head", "causal", "time_stride", "texture"}),
        ({**THEN, "name": "mobilecrnn", "head": "statistics", "time_stride": 16}, {"head", "time_stride"}),
        ({**THEN, "name": "efficientat", "head": "mean_mlp", "time_stride": 32}, {"head", "time_stride"}),
        ({**THEN, "name": "rawnet", "head": "final_state", "raw": {**RAW_THEN, "hidden": 9}}, {"head", "raw"}),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else "",
)
def test_a_recipe_of_before_is_read_without_the_keys_of_other_networks(model, kept):
    found = make_recipe({"model": model}).model.model_dump(mode="json")
    assert set(found) == kept | {"name", "width", "dropout"}
    assert found == {key: model[key] for key in found}


def test_a_recipe_of_before_that_set_in_vain_is_refused():
    with pytest.raises(ConfigError, match=r"unknown key model.raw of network crnn"):
        make_recipe({"model": {**THEN, "name": "crnn", "raw": {**RAW_THEN, "hidden": 9}}})


def test_the_shipped_models_say_recipes_that_build_them():
    for file in (Path(auricle.__file__).parent / "bundles").glob("*/auricle.json"):
        spec = json.loads(file.read_text(encoding="utf-8"))
        assert make_recipe(spec["provenance"]["recipe"]).model.name == spec["model"]["name"]
