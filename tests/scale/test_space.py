# SPDX-License-Identifier: Apache-2.0
"""What a sweep searches: ranges and lists over a recipe's keys, and every mistake named at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from auricle.errors import ConfigError
from auricle.recipe.schema import with_values
from auricle.scale.space import Axis, read_sweep

SWEEPS = sorted((Path(__file__).parents[2] / "recipes" / "sweep").glob("*.yaml"))


@pytest.fixture
def write(tmp_path):
    """Write a sweep file; returns its path."""

    def make(search: str, rest: str = "optim: {epochs: 3}\n") -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"{rest}sweep:\n  trials: 7\n  search:\n    {search}\n", encoding="utf-8")
        return path

    return make


def test_a_range_is_whole_where_the_key_is_and_a_list_takes_anything(write):
    sweep = read_sweep(
        write(
            "optim.lr: {low: 0.0003, high: 0.005, log: true}\n"
            "    model.dropout: {low: 0, high: 0.5}\n"
            "    data.batch_size: {low: 8, high: 32, log: true}\n"
            "    optim.clip_norm: {low: 1, high: 10}\n"
            "    model.head: [attention, linear_softmax]\n"
            "    augment.noise_snr_db: [null, [5, 30]]"
        )
    )
    assert sweep.axes == (
        Axis("optim.lr", "float", 0.0003, 0.005, log=True),
        Axis("model.dropout", "float", 0, 0.5),
        Axis("data.batch_size", "int", 8, 32, log=True),
        Axis("optim.clip_norm", "float", 1, 10),
        Axis("model.head", "choice", choices=('"attention"', '"linear_softmax"')),
        Axis("augment.noise_snr_db", "choice", choices=("null", "[5, 30]")),
    )
    assert sweep.axes[2].ends() == [8, 32]
    assert sweep.axes[5].ends() == [None, [5, 30]]
    assert (sweep.section.trials, sweep.section.pruner, sweep.recipe.optim.epochs) == (7, "median", 3)


def test_trials_and_overrides_win_over_the_file(write):
    path = write("optim.lr: [0.001, 0.002]")
    sweep = read_sweep(path, ["optim.epochs=5"], trials=2)
    assert (sweep.section.trials, sweep.recipe.optim.epochs) == (2, 5)
    assert sweep.to_dict() == read_sweep(path, ["optim.epochs=5"], trials=9).to_dict()
    assert sweep.to_dict() != read_sweep(path, ["optim.epochs=6"]).to_dict()


def test_every_mistake_is_named_at_once(write):
    path = write(
        "optim.rl: [1]\n"
        "    optim.lr: {low: 0.5, high: 2}\n"
        "    seed: [0, 1]\n"
        "    run.precision: [bf16]\n"
        "    model.head: {low: 0, high: 1}\n"
        "    optim.weight_decay: {low: 0, high: 0.1, log: true}\n"
        "    data.clip_s: {low: 3, high: 2}\n"
        "    data.batch_size: {low: 0.5, high: 8}\n"
        "    model.dropout: [0.1, much]"
    )
    with pytest.raises(ConfigError, match=r"^the section sweep of .* cannot be used") as caught:
        read_sweep(path)
    fixed = "cannot be searched: trials are compared on the same dev clips, at the same precision"
    assert caught.value.problems == (
        "unknown key optim.rl (did you mean 'optim.lr'?)",
        "optim.lr = 2.0: input should be less than or equal to 1",
        f"seed {fixed}",
        f"run.precision {fixed}",
        "model.head is no number: give a list of values",
        "optim.weight_decay: low 0, high 0.1; needed is 0 < low < high",
        "data.clip_s: low 3, high 2; needed is low < high",
        "data.batch_size: low 0.5, high 8; this key takes whole numbers",
        "model.dropout = 'much': input should be a valid number, unable to parse string as a number",
    )


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        ("optim.lr: {low: 1, hihg: 2}", "sweep.search.optim.lr.range.high: Field required"),
        ("optim.lr: []", "sweep.search.optim.lr.list: List should have at least 1 item after validation, not 0"),
        ("{}", "sweep.search: Dictionary should have at least 1 item after validation, not 0"),
    ],
)
def test_a_section_of_another_form_is_refused(write, search, problem):
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        read_sweep(write(search))
    assert problem in caught.value.problems


def test_a_plain_recipe_is_told_what_is_missing(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text("optim: {epochs: 3}\n")
    with pytest.raises(ConfigError, match=r"has no section sweep, so there is nothing to search\n  - add one, such as"):
        read_sweep(path)


def test_values_are_laid_over_a_recipe_and_must_go_together():
    sweep = read_sweep(SWEEPS[0])
    changed = with_values(sweep.recipe, {"optim.lr": 0.01, "augment.noise_snr_db": None})
    assert (changed.optim.lr, changed.augment.noise_snr_db) == (0.01, None)
    assert changed.model == sweep.recipe.model
    with pytest.raises(ConfigError, match=r"data.hop_s 4 is above data.clip_s 2"):
        with_values(changed, {"data.hop_s": 4.0, "data.clip_s": 2.0})


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_sweeps_that_are_shipped_parse(path):
    assert len(read_sweep(path).axes) > 1
