# SPDX-License-Identifier: Apache-2.0
"""The bench of training: what is counted, what is timed, and what it says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from helpers.toydata import tiny, tiny_of, usable, write_folders

from auricle import api
from auricle.errors import DataError, UsageError
from auricle.nn.modules import crnn, rawnet
from auricle.nn.networks import build_network
from auricle.recipe.requests import DataSource
from auricle.training import bench
from auricle.training.bench import STEP_PHASES, TrainingBench, TrainSpeed, bench_training, count_gflop, measure_peak
from auricle.training.request_recipe import make_request_recipe

PEAKS = {"32-true": 10.0, "bf16-mixed": 100.0}


def speed(**changes: object) -> TrainSpeed:
    values = {"name": "a", "network": "crnn", "parameters": 1, "precision": "32-true", "batch_size": 8, "clip_s": 1.0}
    times = {"steps": 2, "step_s": 0.5, "low_s": 0.4, "high_s": 0.6, "shares": {}, "gflop": 1.0, "peak_share": 0.2}
    return TrainSpeed(**{**values, **times, **changes})


def test_figures_follow_from_the_time_of_a_step():
    bench = TrainingBench((speed(), speed(name="b", batch_size=32, step_s=0.02)), PEAKS, 2, 0.0)
    first, second = bench.to_dict(16_000)["runs"]
    assert (first["clips_a_second"], first["ratio"], first["epoch_s"]) == (16.0, 1.0, 1_000.0)
    assert (second["clips_a_second"], second["ratio"], second["epoch_s"]) == (1_600.0, 100.0, 10.0)


def test_arithmetic_is_counted_by_hand():
    """One free first layer of 4 kernels of 32 samples every 16, no other layer of weight."""
    settings = ["model.raw.first=conv", "model.raw.channels=[4, 1, 1]", "model.raw.hidden=1", "model.raw.rectify=abs"]
    shape = ["model.raw.kernel=32", "model.raw.stride=16", "model.raw.block_kernel=1", "data.batch_size=3"]
    recipe = make_request_recipe("rawnet", None, [*settings, *shape, "model.raw.filter_mask=0"], None)
    found = count_gflop(build_network(recipe, 2), recipe, 2) * 1e9
    frames = 64_600 // 16
    first = 2 * 3 * frames * 4 * 32
    assert 2 * first < found < 2.6 * first  # forwards, and backwards to the kernels; the rest is small


@pytest.mark.parametrize("network", ["crnn", "rawnet"])
def test_our_own_ways_backwards_are_counted_like_those_of_torch(monkeypatch, network):
    recipe = make_request_recipe(network, None, tiny_of(network), None)
    found = []
    for ours in (True, False):
        if not ours:
            for module in (crnn, rawnet):
                monkeypatch.setattr(module, "run_gru", lambda gru, x: gru(x))
            monkeypatch.setattr(crnn, "convolve", lambda layer, x: layer(x))
        found.append(count_gflop(build_network(recipe, 2), recipe, 2))
    assert found[0] == pytest.approx(found[1], rel=0.05)


@pytest.mark.parametrize("network", ["crnn", "rawnet"])
def test_some_steps_are_timed_by_phase(network):
    recipe = make_request_recipe(network, None, tiny_of(network), None)
    run = bench_training(network, recipe, data=None, steps=3, warm_up=1, peaks=PEAKS)
    assert (run.steps, run.batch_size, run.network, run.precision) == (3, 4, network, "32-true")
    assert 0 < run.low_s <= run.step_s <= run.high_s
    assert set(run.shares) == set(STEP_PHASES)
    assert sum(run.shares.values()) == pytest.approx(1)
    assert min(run.shares.values()) > 0
    assert run.peak_share == pytest.approx(run.gflop / run.step_s / 10)
    assert run.parameters == sum(p.numel() for p in build_network(recipe, 2).parameters())


def test_given_clips_must_fill_a_batch(tmp_path):
    data = write_folders(tmp_path / "clips", clips=2)
    with pytest.raises(DataError, match="4 clips do not fill a batch of 5"):
        bench_training("x", tiny("data.batch_size=5"), data=DataSource(data), steps=1, warm_up=0, peaks=PEAKS)


def test_recipes_stand_beside_each_other(tmp_path):
    said: list[str] = []
    file = tmp_path / "other.yaml"
    file.write_text("model: {name: crnn, head: linear_softmax}\n", encoding="utf-8")
    threads = torch.get_num_threads()
    both = usable("crnn", tiny_of("rawnet"))  # the same settings for each
    result = api.bench_train(
        models=["rawnet"], recipes=[file], overrides=both, batch_sizes=[2, 4], steps=1, warm_up=0, notice=said.append
    )
    assert [(run.name, run.batch_size) for run in result.runs] == [
        ("rawnet", 2),
        ("rawnet", 4),
        ("other", 2),
        ("other", 4),
    ]
    assert said[0] == "rawnet: batches of 2, float32 ..."
    assert result.threads == torch.get_num_threads() == threads == 1
    assert list(result.peaks) == ["32-true"]  # what no run uses is not measured: it may be very slow here
    assert result.peaks["32-true"] > 0.1


def test_nothing_to_measure_is_said():
    with pytest.raises(UsageError, match="nothing to measure: give --model NAME or --recipe FILE"):
        api.bench_train()


def test_a_peak_is_a_speed():
    assert 0.5 < measure_peak("32-true") < 100_000


@pytest.mark.parametrize("gflop_a_second", [0.005, 0.05, 1.0, 60.0, 1_000.0])
def test_a_peak_is_found_in_two_seconds_by_machines_of_any_speed(monkeypatch, gflop_a_second):
    """Without units for bf16 a CPU multiplies at less than a thousandth of its peak."""
    now = [0.0]

    def product(a, b):
        now[0] += 2 * a.shape[0] ** 3 / gflop_a_second / 1e9

    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(torch, "mm", product)
    assert measure_peak("bf16-mixed") == pytest.approx(gflop_a_second)
    assert now[0] < 2
