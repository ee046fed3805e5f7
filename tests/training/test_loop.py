# SPDX-License-Identifier: Apache-2.0
"""The loop: steps, stops, saves, and continues to the very same bits."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.toydata import Listener, make_loop, signal_at

from auricle import files
from auricle.errors import Interrupted, RunError, TrainingError
from auricle.training.checkpoint import State, find_checkpoints, load_checkpoint
from auricle.training.loop import _micro_batches, final_weights
from auricle.training.optim import learning_rate_factor
from auricle.training.run import best_figures


@pytest.fixture(scope="module")
def whole(material_of, tmp_path_factory):
    """The state of a run that nobody disturbed."""
    return make_loop(material_of(), tmp_path_factory.mktemp("whole") / "run").fit()


def assert_same(found: State, expected: State) -> None:
    assert (found.step, found.history, found.losses) == (expected.step, expected.history, expected.losses)
    assert (found.best_score, found.best_epoch) == (expected.best_score, expected.best_epoch)
    assert set(found.tensors) == set(expected.tensors)
    different = [k for k, v in expected.tensors.items() if not torch.equal(found.tensors[k], v)]
    assert different == []


def resume(material, folder, **fields) -> State:
    return make_loop(
        material, folder, state=load_checkpoint(find_checkpoints(folder / "checkpoints")[-1]), **fields
    ).fit()


# --- what a run leaves


def test_a_run_goes_through_all_its_steps(material_of, tmp_path):
    listener = Listener()
    state = make_loop(material_of(), tmp_path / "run", progress=listener).fit()
    assert listener.starts == [(8, 0)]
    assert state.step == len(listener.losses) == 8
    assert [row["step"] for row in listener.rows] == [4, 8]
    assert listener.rows == state.history
    np.testing.assert_allclose(listener.rows[0]["loss"], np.mean(listener.losses[:4]))
    assert state.losses == []
    assert {name.split(".")[0] for name in state.tensors} == {"model", "ema", "optim", "best"}
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3
    (last,) = find_checkpoints(tmp_path / "run" / "checkpoints")
    assert_same(load_checkpoint(last), state)


def test_training_lowers_the_loss(material_of, tmp_path):
    settings = ("optim.epochs=12", "optim.lr=0.02", "augment.mixup_alpha=0", "model.dropout=0")
    state = make_loop(material_of(*settings), tmp_path / "run").fit()
    losses = [row["loss"] for row in state.history]
    assert losses[-1] < 0.6 * losses[0]


def test_another_seed_is_another_run(material_of, whole, tmp_path):
    other = make_loop(material_of("seed=1"), tmp_path / "run").fit()
    assert other.history[0]["loss"] != whole.history[0]["loss"]


def test_the_best_epoch_is_kept_apart_from_the_last(material_of, tmp_path):
    figures = iter([0.2, 0.9, 0.5])
    loop = make_loop(material_of("optim.epochs=3"), tmp_path / "run", score_dev=lambda _: {"figure": next(figures)})
    state = loop.fit()
    assert (state.best_score, state.best_epoch) == (0.9, 2)
    assert [row["dev_figure"] for row in state.history] == [0.2, 0.9, 0.5]
    best, last = final_weights(state, selected=True), final_weights(state, selected=False)
    assert set(best) == set(last) == set(loop.network.state_dict())
    assert not torch.equal(best["gru.weight_hh_l0"], last["gru.weight_hh_l0"])
    assert torch.equal(last["gru.weight_hh_l0"], state.tensors["ema.gru.weight_hh_l0"])


@pytest.mark.parametrize(("scores", "epoch"), [([0.8, 0.8, 0.7], 0), ([0.8, 0.7, 0.9], 2)])
def test_fitted_layers_give_way_only_to_what_is_better(material_of, tmp_path, scores, epoch):
    figures = iter(scores)
    loop = make_loop(
        material_of("optim.epochs=2"), tmp_path / "run", score_dev=lambda _: {"figure": next(figures)}, is_fitted=True
    )
    begun_with = {k: v.clone() for k, v in loop.network.state_dict().items()}
    state = loop.fit()
    assert (state.best_score, state.best_epoch) == (max(scores), epoch)
    assert best_figures(state) == {"figure": max(scores)}
    kept = final_weights(state, selected=True)
    assert all(torch.equal(kept[name], value) for name, value in begun_with.items()) == (epoch == 0)
    (last,) = find_checkpoints(tmp_path / "run" / "checkpoints")
    assert_same(load_checkpoint(last), state)
    assert load_checkpoint(last).first_figures == {"figure": 0.8}


def test_fitted_layers_give_way_to_what_is_as_good_and_surer(material_of, tmp_path):
    figures = iter([{"accuracy": 0.8, "log_loss": loss} for loss in (0.5, 0.6, 0.4)])
    loop = make_loop(material_of("optim.epochs=2"), tmp_path / "run", score_dev=lambda _: next(figures), is_fitted=True)
    assert loop.fit().best_epoch == 2


KEPT = ("init.model=general", "init.keep=0.25")


def test_what_is_shipped_is_part_of_what_was_begun_with(material_of, tmp_path):
    """A quarter of the first weights, three of the averaged ones; dev hears the same, and selects it."""
    heard = []

    def score_dev(network):
        heard.append({k: v.clone() for k, v in network.state_dict().items()})
        return {"figure": float(len(heard))}

    loop = make_loop(material_of(*KEPT), tmp_path / "run", score_dev=score_dev)
    begin = {k: v.clone() for k, v in loop.network.state_dict().items()}
    state = loop.fit()
    averaged, last = state.part("ema"), final_weights(state, selected=False, keep=0.25)
    moved = [k for k, v in averaged.items() if v.is_floating_point() and not torch.equal(v, begin[k])]
    assert len(moved) > 10
    for name in moved:
        torch.testing.assert_close(last[name], 0.25 * begin[name] + 0.75 * averaged[name])
    best = final_weights(state, selected=True, keep=0.25)
    assert all(torch.equal(best[name], last[name]) and torch.equal(heard[-1][name], last[name]) for name in last)


def test_a_stopped_run_remembers_what_it_began_with(material_of, tmp_path):
    whole = make_loop(material_of(*KEPT), tmp_path / "whole").fit()
    with pytest.raises(Interrupted):
        make_loop(material_of(*KEPT), tmp_path / "run", progress=signal_at(3, signal.SIGTERM)).fit()
    assert_same(resume(material_of(*KEPT), tmp_path / "run"), whole)


def test_without_dev_nothing_is_selected(material_of, tmp_path):
    state = make_loop(material_of(), tmp_path / "run", score_dev=None).fit()
    assert (state.best_score, state.best_epoch) == (None, 0)
    assert "dev_figure" not in state.history[0]
    assert torch.equal(final_weights(state, selected=True)["head.frame.bias"], state.tensors["ema.head.frame.bias"])


# --- going on


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("step", "number", "code"),
    [(1, signal.SIGTERM, 143), (3, signal.SIGINT, 130), (4, signal.SIGTERM, 143), (6, signal.SIGTERM, 143)],
)
def test_a_stopped_run_goes_on_to_the_same_bits(material_of, whole, tmp_path, step, number, code, workers):
    material, folder = material_of(f"data.workers={workers}"), tmp_path / "run"
    with pytest.raises(Interrupted, match=rf"^stopped at step {step}; continue with --resume$") as caught:
        make_loop(material, folder, progress=signal_at(step, number)).fit()
    assert caught.value.exit_code == code
    listener = Listener()
    state = resume(material, folder, progress=listener)
    assert listener.starts == [(8, step)]
    assert_same(state, whole)
    rows = (folder / "log.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["1", "2"]


def test_workers_change_nothing(material_of, whole, tmp_path):
    assert_same(make_loop(material_of("data.workers=2"), tmp_path / "run").fit(), whole)


def test_stopped_again_and_again_with_changing_workers(material_of, whole, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        make_loop(material_of("data.workers=1"), folder, progress=signal_at(2, signal.SIGTERM)).fit()
    for step in (3, 5, 7):
        with pytest.raises(Interrupted):
            resume(material_of(), folder, progress=signal_at(step, signal.SIGTERM))
    assert_same(resume(material_of("data.workers=2"), folder), whole)


def test_a_signal_to_the_loader_processes_too_still_saves(material_of, whole, tmp_path):
    """A terminal's Ctrl-C and a batch system's SIGTERM reach the whole group of processes."""
    others = set(multiprocessing.active_children())  # a server that tests share, for one

    def kill_all() -> None:
        for child in set(multiprocessing.active_children()) - others:
            os.kill(child.pid, signal.SIGTERM)
            os.kill(child.pid, signal.SIGINT)
        time.sleep(0.2)  # time enough to die of it
        os.kill(os.getpid(), signal.SIGTERM)

    material, folder = material_of("data.workers=2", "optim.epochs=20"), tmp_path / "run"
    with pytest.raises(Interrupted, match="stopped at step 3"):
        make_loop(material, folder, progress=Listener(3, kill_all)).fit()
    assert load_checkpoint(find_checkpoints(folder / "checkpoints")[-1]).step == 3


def test_r6_stopped_while_it_scores_an_epoch_it_scores_it_again(material_of, whole, tmp_path):
    """A dev part may take longer to score than a batch system waits; nothing is lost by leaving at once."""
    material, folder = material_of(), tmp_path / "run"
    loop = make_loop(material, folder)
    score, scored = loop.score_dev, []

    def slow(candidate):
        if len(scored) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        scored.append(1)
        return score(candidate)

    loop.score_dev = slow
    start = time.monotonic()
    with pytest.raises(Interrupted, match=r"^stopped at step 8; continue with --resume$"):
        loop.fit()
    assert time.monotonic() - start < 30
    saved = load_checkpoint(find_checkpoints(folder / "checkpoints")[-1])
    assert (saved.step, len(saved.history), len(saved.losses)) == (8, 1, 4)
    listener = Listener()
    assert_same(resume(material, folder, progress=listener), whole)
    assert (listener.losses, [row["epoch"] for row in listener.rows]) == ([], [2])


def test_r3_a_signal_while_it_waits_for_a_batch_is_heard_at_once(material_of, tmp_path, monkeypatch):
    from auricle.training import loop as loop_module

    def never(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
        yield

    loop = make_loop(material_of(), tmp_path / "run")
    monkeypatch.setattr(loop, "_seconds_a_step", lambda: 1.0)
    monkeypatch.setattr(loop_module, "make_loader", never)
    start = time.monotonic()
    with pytest.raises(Interrupted, match="stopped at step 0"):
        loop.fit()
    assert time.monotonic() - start < 30


def test_after_a_crash_the_last_checkpoint_counts(material_of, whole, tmp_path):
    class Crash(Exception):
        pass

    def crash() -> None:
        raise Crash

    material, folder = material_of("run.checkpoint_every_steps=2"), tmp_path / "run"
    with pytest.raises(Crash):
        make_loop(material, folder, progress=Listener(7, crash)).fit()
    assert [load_checkpoint(path).step for path in find_checkpoints(folder / "checkpoints")] == [4, 6]
    assert_same(resume(material, folder), whole)


def test_checkpoints_are_due_after_seconds_too(material_of, tmp_path):
    steps = []
    loop = make_loop(material_of("run.checkpoint_every_s=1e-9"), tmp_path / "run")
    save = loop.save
    loop.save = lambda: (steps.append(loop.state.step), save())
    loop.fit()
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8, 8]


def test_a_finished_run_does_nothing_more(material_of, whole, tmp_path):
    listener = Listener()
    state = make_loop(material_of(), tmp_path / "run", state=whole, progress=listener).fit()
    assert (listener.starts, listener.losses) == ([], [])
    assert state is whole


def test_measuring_a_step_changes_nothing(material_of, whole, tmp_path, monkeypatch):
    loop = make_loop(material_of(), tmp_path / "run")
    monkeypatch.setattr(loop, "_seconds_a_step", lambda: 1.0)
    assert_same(loop.fit(), whole)


# --- stopping


def test_it_stops_early_when_dev_does_not_rise(material_of, tmp_path):
    figures = iter([0.5, 0.6, 0.6, 0.1, 0.2, 0.9])  # of equal scores the later one is kept
    material = material_of("optim.epochs=20", "run.early_stop=2")
    loop = make_loop(material, tmp_path / "run", score_dev=lambda _: {"figure": next(figures)})
    state = loop.fit()
    assert (len(state.history), state.best_epoch, state.step) == (5, 3, 20)
    again = Listener()
    assert resume(material, tmp_path / "run", progress=again, score_dev=lambda _: {"figure": 1.0}).step == 20
    assert again.starts == []


@pytest.mark.parametrize("patience", ["null", "2"])
def test_without_patience_or_dev_it_goes_on(material_of, tmp_path, patience):
    score_dev = None if patience == "2" else lambda _: {"figure": 0.0}
    material = material_of("optim.epochs=5", f"run.early_stop={patience}")
    assert len(make_loop(material, tmp_path / "run", score_dev=score_dev).fit().history) == 5


@pytest.fixture
def poison(monkeypatch):
    """Let the loss of one step be ``value`` times what it is."""

    def at(loop, step: int, value: float) -> None:
        from auricle.batches import targets

        def poisoned(*args, clip_losses=targets.clip_losses, **kwargs):
            parts = clip_losses(*args, **kwargs)
            return {**parts, "clip": parts["clip"] * value} if loop.state.step == step else parts

        monkeypatch.setattr(targets, "clip_losses", poisoned)

    return at


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_files(material_of, tmp_path, value, poison):
    folder = tmp_path / "run"
    loop = make_loop(material_of("run.checkpoint_every_steps=2"), folder)
    poison(loop, 5, value)
    weights = []
    loop.progress.action, loop.progress.at = lambda: weights.append(loop.network.gru.weight_hh_l0.clone()), 5
    with pytest.raises(TrainingError) as caught:
        loop.fit()
    named = json.loads((folder / "nonfinite.json").read_text())
    assert (named["step"], named["loss"], len(named["clips"])) == (5, str(value), 4)
    assert set(named["clips"]) <= {clip.key for clip in loop.data.clips}
    assert str(caught.value) == (
        f"the loss became {value} at step 5, in a batch with {', '.join(named['clips'][:3])}, ... "
        f"(all 4 in {folder / 'nonfinite.json'}); the last checkpoint is intact: check those files, or lower optim.lr"
    )
    assert torch.equal(loop.network.gru.weight_hh_l0, weights[0])  # the step was not taken
    last = load_checkpoint(find_checkpoints(folder / "checkpoints")[-1])
    assert last.step == 4
    assert all(torch.isfinite(v).all() for v in last.tensors.values())


@pytest.mark.parametrize("clip_norm", ["5", "null"])
def test_gradients_that_are_not_finite_stop_the_run_before_the_weights_are_lost(material_of, tmp_path, clip_norm):
    loop = make_loop(material_of(f"optim.clip_norm={clip_norm}"), tmp_path / "run")
    loop.network.gru.weight_hh_l0.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(
        TrainingError, match=r"^the gradient became (inf|nan) at step 0, in a batch with .* nothing was saved yet: "
    ):
        loop.fit()
    assert all(torch.isfinite(v).all() for v in loop.network.state_dict().values())


# --- faults


@pytest.fixture
def out_of_memory(monkeypatch):
    """Let memory run out while a step's loss is computed, after the norms have seen it: ``fails(part size) -> bool``.

    Returns the sizes of the parts that were tried.
    """

    def at(fails: Callable[[int], bool]) -> list[int]:
        from auricle.batches import targets

        sizes, clip_losses = [], targets.clip_losses

        def limited(output, labels, *args, **kwargs):
            sizes.append(len(labels))
            if fails(len(labels)):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return clip_losses(output, labels, *args, **kwargs)

        monkeypatch.setattr(targets, "clip_losses", limited)
        return sizes

    return at


STILL = ("augment.mixup_alpha=0", "model.dropout=0")


def test_r10_too_little_memory_halves_the_parts_and_keeps_the_batch(material_of, tmp_path, monkeypatch, out_of_memory):
    divided = make_loop(material_of(*STILL, "optim.epochs=1", "optim.accumulate=4"), tmp_path / "other").fit()
    loop = make_loop(material_of(*STILL, "optim.epochs=1"), tmp_path / "run")
    monkeypatch.setattr(loop, "_seconds_a_step", lambda: 1.0)
    sizes = out_of_memory(lambda size: size > 1)
    state = loop.fit()
    assert sizes == [4, 2, *[1] * 16]
    assert (state.step, state.micro_batches) == (4, 4)
    assert loop.progress.notices == [
        f"a step does not fit into the memory of cpu; computing it in {parts} parts from now on: "
        "the same batch of 4 clips, a little slower"
        for parts in (2, 4)
    ]
    assert_same_tensors(state, divided)


def assert_same_tensors(found: State, expected: State) -> None:
    assert [k for k, v in expected.tensors.items() if not torch.equal(found.tensors[k], v)] == []


def test_r10_parts_that_were_done_before_memory_ran_out_leave_no_trace(
    material_of, tmp_path, monkeypatch, out_of_memory
):
    """The second of two parts fails: the norms have seen both by then."""
    divided = make_loop(material_of(*STILL, "optim.epochs=1", "optim.accumulate=4"), tmp_path / "other").fit()
    loop = make_loop(material_of(*STILL, "optim.epochs=1", "optim.accumulate=2"), tmp_path / "run")
    monkeypatch.setattr(loop, "_seconds_a_step", lambda: 1.0)
    sizes = out_of_memory(lambda _: len(sizes) == 2)
    state = loop.fit()
    assert sizes == [2, 2, *[1] * 16]
    assert_same_tensors(state, divided)


def test_r10_a_resumed_run_knows_its_parts(material_of, tmp_path, monkeypatch, out_of_memory):
    material, folder = material_of(*STILL), tmp_path / "run"
    divided = make_loop(material_of(*STILL, "optim.accumulate=2"), tmp_path / "other").fit()
    loop = make_loop(material, folder, progress=signal_at(3, signal.SIGTERM))
    monkeypatch.setattr(loop, "_seconds_a_step", lambda: 1.0)
    out_of_memory(lambda size: size > 2)
    with pytest.raises(Interrupted):
        loop.fit()
    assert_same_tensors(resume(material, folder), divided)


def test_r10_the_first_estimate_may_run_out_of_memory_too(material_of, tmp_path, monkeypatch):
    loop = make_loop(material_of("optim.epochs=1"), tmp_path / "run")
    seconds, failed = loop._time_steps, []

    def first_time():
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return seconds()

    monkeypatch.setattr(loop, "_time_steps", first_time)
    assert loop.fit().micro_batches == 2


def test_r10_one_clip_too_large_is_an_error_with_advice(material_of, tmp_path, monkeypatch, out_of_memory):
    loop = make_loop(material_of("run.checkpoint_every_steps=1"), tmp_path / "run")
    monkeypatch.setattr(loop, "_seconds_a_step", lambda: 1.0)
    out_of_memory(lambda _: True)
    with pytest.raises(
        TrainingError, match=r"^one clip at a time is too much for the memory of cpu: lower data.clip_s"
    ):
        loop.fit()


def test_r1_a_run_does_not_begin_where_it_could_not_save(material_of, tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(
        RunError, match=r"run has 0.0 MB of free disk space, and a run with 3 checkpoints needs 0\.\d MB"
    ):
        make_loop(material_of(), tmp_path / "run").fit()


def test_r18_a_batch_of_one_clip_trains(material_of, tmp_path):
    state = make_loop(material_of("data.batch_size=1", "optim.epochs=1"), tmp_path / "run").fit()
    assert state.step == 16
    assert all(torch.isfinite(v).all() for v in state.tensors.values())


def test_as_many_checkpoints_stay_as_the_recipe_says(material_of, tmp_path):
    make_loop(material_of("run.keep_checkpoints=3", "run.checkpoint_every_steps=1"), tmp_path / "run").fit()
    assert [load_checkpoint(p).step for p in find_checkpoints(tmp_path / "run" / "checkpoints")] == [6, 7, 8]


def test_r9_a_spike_of_the_loss_is_said(material_of, tmp_path, poison):
    loop = make_loop(material_of("data.batch_size=2", "optim.epochs=1"), tmp_path / "run")
    poison(loop, 5, 100.0)
    loop.fit()
    (said,) = loop.progress.notices
    assert said.startswith("epoch 1: the loss rose to ")
    assert said.endswith(" times the median; look at the data, or lower optim.lr")
    assert " in its step 6, " in said


# --- parts of a step


def test_the_learning_rate_warms_up_and_falls_as_a_cosine():
    rates = [learning_rate_factor(step, 100, 10, "cosine") for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.09)))
    assert rates[50] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001
    assert max(rates) == rates[9]


def test_a_constant_rate_only_warms_up():
    assert [learning_rate_factor(step, 8, 4, "constant") for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert learning_rate_factor(0, 8, 0, "constant") == 1


def test_the_optimiser_uses_that_rate_and_decays_matrices_only(material_of, tmp_path):
    loop = make_loop(material_of("optim.lr=0.004", "optim.warmup_steps=4"), tmp_path / "run")
    rates = []
    loop.progress.action = lambda: rates.append({group["lr"] for group in loop.optimizer.param_groups})
    loop.progress.at = 2
    loop.fit()
    assert [list(seen) for seen in rates] == [[pytest.approx(0.004 * 0.5 * 0.5 * (1 + math.cos(math.pi / 8)))]]
    decayed, spared = loop.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert {p.ndim > 1 for p in decayed["params"]} == {True}
    assert {p.ndim > 1 for p in spared["params"]} == {False}


def test_the_average_follows_with_a_ramp(material_of, tmp_path):
    """Weights 1 and 0 after two steps: decays of 1/10 and 2/11 leave 0.1 w0 + 0.9 w1, and so on."""
    loop = make_loop(material_of("optim.ema=0.999"), tmp_path / "run")
    name, seen = "head.frame.weight", []
    seen.append(loop.network.state_dict()[name].clone())
    loop.progress.action, loop.progress.at = lambda: seen.append(loop.network.state_dict()[name].clone()), 1
    averaged = []
    step_done = loop.progress.step_done
    loop.progress.step_done = lambda s, loss: (
        step_done(s, loss),
        averaged.append(loop.averaged.state_dict()[name].clone()),
    )
    loop.fit()
    torch.testing.assert_close(averaged[0], 0.1 * seen[0] + 0.9 * seen[1])


def test_without_averaging_the_average_is_the_network(material_of, tmp_path):
    loop = make_loop(material_of("optim.ema=0"), tmp_path / "run")
    state = loop.fit()
    assert all(torch.equal(value, state.tensors[f"model.{name}"]) for name, value in state.part("ema").items())


def test_micro_batches_are_the_batch_in_parts(material_of, tmp_path):
    loop = make_loop(material_of(), tmp_path / "run")
    batch = next(loop._loader(0, 1, workers=0))
    assert _micro_batches(batch, 1) == [(batch, 1.0)]
    for count in (2, 3, 4, 9):
        parts = _micro_batches(batch, count)
        assert len(parts) == min(count, 4)
        assert sum(share for _, share in parts) == pytest.approx(1)
        for i, whole_field in enumerate(batch[:-1]):
            assert torch.equal(torch.cat([part[i] for part, _ in parts]), whole_field)
        for name, fields in batch.targets.items():
            for i, whole_field in enumerate(fields):
                assert torch.equal(torch.cat([part.targets[name][i] for part, _ in parts]), whole_field)


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_gradients_are_those_of_the_batch(material_of, tmp_path, accumulate):
    """Where items do not meet: no mixing, no dropout, norms with fixed statistics."""
    still = ("augment.mixup_alpha=0", "model.dropout=0", "optim.epochs=1", "optim.clip_norm=null")

    def gradients(*settings):
        loop = make_loop(material_of(*still, *settings), tmp_path / f"run{len(settings)}", score_dev=None)
        for norm in [m for m in loop.network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]:
            norm.train = lambda *_: None  # stays in evaluation mode
            norm.training = False
        seen = []
        loop.progress.action = lambda: seen.extend(p.grad.clone() for p in loop.network.parameters() if p.requires_grad)
        loop.progress.at = 1
        state = loop.fit()
        return state.step, seen

    steps, expected = gradients()
    accumulated_steps, found = gradients(f"optim.accumulate={accumulate}")
    assert accumulated_steps == steps == 4
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_gradients_are_clipped(material_of, tmp_path):
    norms = []
    loop = make_loop(material_of("optim.clip_norm=0.01", "optim.epochs=1"), tmp_path / "run")
    loop.progress.action = lambda: norms.append(
        math.sqrt(sum(p.grad.square().sum().item() for p in loop.network.parameters() if p.requires_grad))
    )
    loop.progress.at = 1
    loop.fit()
    assert norms == [pytest.approx(0.01, rel=1e-3)]


def test_weights_of_clips_reach_the_loss(material_of, tmp_path):
    material = material_of("augment.mixup_alpha=0", "model.dropout=0")
    loop = make_loop(material, tmp_path / "one")
    heavy = replace(loop.data, weights=2 * loop.data.weights)
    first, second = Listener(), Listener()
    make_loop(material, tmp_path / "two", progress=first).fit()
    make_loop(material, tmp_path / "three", data=heavy, progress=second).fit()
    assert second.losses[0] == pytest.approx(2 * first.losses[0], rel=1e-5)


def test_bf16_trains_too(material_of, tmp_path):
    state = make_loop(material_of("run.precision=bf16"), tmp_path / "run").fit()
    assert state.step == 8
    assert state.tensors["model.gru.weight_hh_l0"].dtype == torch.float32
    assert all(math.isfinite(row["loss"]) for row in state.history)
