# SPDX-License-Identifier: Apache-2.0
"""Processes that train together: what they tell each other, and that they compute what one alone would."""

from __future__ import annotations

import gc
import json
import math
import pickle
import signal

import numpy as np
import pytest
import torch
from helpers.crowd import crowd
from helpers.toydata import TINY, Listener, make_loop, signal_at

from auricle import api
from auricle.errors import ConfigError, InputError, Interrupted, RunError, TrainingError
from auricle.runtime.detector import load
from auricle.training.checkpoint import find_checkpoints, load_checkpoint
from auricle.training.devices import choose_device
from auricle.training.distributed import ALONE, Group, join_group

# --- what they tell each other


def test_alone_there_is_nothing_to_tell():
    with join_group() as group:
        assert group is ALONE
    assert (group.leads, group.machines) == (True, 1)
    assert group.first(lambda: 5) == 5
    assert group.gather([1, 2]).tolist() == [[1, 2]]
    assert group.shard("abc") == "abc"
    assert group.gather_shards([1, 2]) == [1, 2]
    with pytest.raises(RunError, match=r"^as it is$"):
        group.first(lambda: (_ for _ in ()).throw(RunError("as it is")))


def test_three_processes_share_what_the_first_finds():
    def talk(group):
        split = group.shard(list(range(7)))
        module = torch.nn.BatchNorm1d(2)
        module.running_mean += group.rank
        group.copy_buffers(module)
        group.wait()
        return (
            (group.rank, group.size, group.local_rank, group.local_size, group.leads),
            group.first(lambda: {"from": group.rank}),
            group.gather([group.rank, 0.5]).tolist(),
            list(split),
            group.gather_shards([10 * item for item in split]),
            module.running_mean.tolist(),
        )

    told = crowd(3, talk)
    assert [place for place, *_ in told] == [(rank, 3, rank, 3, rank == 0) for rank in range(3)]
    assert [split for _, _, _, split, *_ in told] == [[0, 3, 6], [1, 4], [2, 5]]
    for _, found, numbers, _, whole, mean in told:
        assert found == {"from": 0}
        assert numbers == [[0, 0.5], [1, 0.5], [2, 0.5]]
        assert whole == [0, 10, 20, 30, 40, 50, 60]
        assert mean == [0, 0]


def test_what_the_first_raises_all_raise():
    def fail(group):
        said = []
        for error in (InputError("io_error", "a.wav: gone"), ValueError("odd")):
            with pytest.raises((InputError, TrainingError)) as caught:
                group.first(lambda error=error: (_ for _ in ()).throw(error))
            said.append((type(caught.value).__name__, getattr(caught.value, "code", None), str(caught.value)))
        return said

    expected = [
        ("InputError", "io_error", "a.wav: gone"),
        ("TrainingError", "training", "the first process failed: ValueError: odd"),
    ]
    assert crowd(2, fail) == [expected, expected]


def test_errors_of_recordings_may_be_sent():
    error = pickle.loads(pickle.dumps(InputError("corrupt", "x.wav: cut")))
    assert (error.code, error.message) == ("corrupt", "x.wav: cut")


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with (
        pytest.raises(ConfigError, match=r"^WORLD_SIZE is 2, but LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set: start"),
        join_group(),
    ):
        pass


def test_every_process_needs_a_gpu_of_its_own():
    pair = Group(0, 4, 0, 2)
    assert pair.machines == 2
    assert choose_device("auto", pair, 2) == "cuda"
    assert choose_device("auto", pair, 1) == "cpu"
    assert choose_device("cpu", pair, 2) == "cpu"
    assert [choose_device("auto", ALONE, gpus) for gpus in (0, 1)] == ["auto", "auto"]  # Fabric's own choice
    with pytest.raises(ConfigError, match=r"^2 processes on a machine with 1 GPUs: .* start 1 there, or train on"):
        choose_device("cuda", pair, 1)


# --- that they compute what one alone would


#: Shifts a class's attention in all frames alike, which the softmax over frames takes away: its gradient is rounding
#: noise, of which Adam makes whole steps.
IDLE = {"head.attention.bias"}


def train(material, folder, group=ALONE):
    """Return losses, gradients after each step, and all tensors at the end; norms and dropout are at rest."""
    gradients = []
    loop = make_loop(material, folder, group=group)
    loop.module.eval()
    loop.module.train = lambda: loop.module
    loop.progress = Listener()
    done = loop.progress.step_done

    def step_done(step, loss):
        done(step, loss)
        gradients.append([p.grad.numpy().copy() for p in loop.network.parameters() if p.requires_grad])

    loop.progress.step_done = step_done
    state = loop.fit()
    weights = {k: v.numpy() for k, v in loop.network.state_dict().items()}
    averaged = {k: v.numpy() for k, v in loop.averaged.state_dict().items()}
    return loop.progress.losses, gradients, weights, averaged, state.history


@pytest.mark.parametrize(
    ("size", "settings"),
    [(2, ()), (2, ("optim.accumulate=2", "model.head=linear_softmax")), (3, ("data.workers=1",))],
)
def test_together_they_compute_what_one_computes_from_the_joined_batch(
    material_of, tmp_path, monkeypatch, size, settings
):
    """Batches of 4 are split 2 + 2 and 1 + 1 + 2; partners of mixing come from other processes' stretches.

    A smooth function stands for ReLU, whose gradient jumps where rounding decides on which side of zero a value lies.
    Adam makes steps of a length of their own of gradients that are next to nothing, rounding included: short ones here.
    """
    monkeypatch.setattr(torch, "relu", torch.nn.functional.softplus)
    material = material_of("optim.lr=0.0005", *settings)
    expected = train(material, tmp_path / "alone")
    together = crowd(size, lambda group: train(material, tmp_path / "together", group))
    for losses, gradients, weights, averaged, history in together:
        np.testing.assert_allclose(losses, expected[0], atol=1e-5)
        for found, wanted in zip(gradients, expected[1], strict=True):
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5)
        for found, wanted in ((weights, expected[2]), (averaged, expected[3])):
            for name in wanted.keys() - IDLE:
                value = wanted[name]
                np.testing.assert_allclose(found[name], value, atol=1e-5)
        assert [row["step"] for row in history] == [4, 8]


def test_they_need_a_clip_each(material_of, tmp_path):
    material = material_of("data.batch_size=1")

    def refuse(group):
        with pytest.raises(ConfigError, match="cannot be divided among 2 processes"):
            make_loop(material, tmp_path / "run", group=group)

    crowd(2, refuse)


def test_one_is_told_to_stop_and_all_stop_at_the_same_step(material_of, tmp_path):
    """Only the first process writes; another number of processes resumes from there."""
    material, folder = material_of("run.checkpoint_every_steps=1"), tmp_path / "run"

    def stopped(group):
        listener = signal_at(3, signal.SIGTERM) if group.rank == 1 else Listener()
        with pytest.raises(Interrupted, match=r"^stopped at step \d; continue with --resume$") as caught:
            make_loop(material, folder, group=group, progress=listener).fit()
        return str(caught.value), caught.value.exit_code, len(listener.losses)

    first, second = crowd(2, stopped)
    assert first == second == ("stopped at step 3; continue with --resume", 143, 3)
    saved = load_checkpoint(find_checkpoints(folder / "checkpoints")[-1])
    assert (saved.step, len(find_checkpoints(folder / "checkpoints"))) == (3, 2)
    state = make_loop(material, folder, state=saved).fit()
    assert (state.step, len(state.history)) == (8, 2)


def test_a_loss_that_one_process_sees_stops_all(material_of, tmp_path):
    def poisoned(group):
        loop = make_loop(material_of(), tmp_path / "run", group=group)
        if group.rank == 1:
            forward = loop.objective.forward
            loop.objective.forward = lambda batch: {"loss": forward(batch)["loss"] * math.nan}
        with pytest.raises(TrainingError, match=r"^the loss became nan at step 0, in a batch with ") as caught:
            loop.fit()
        return str(caught.value)

    first, second = crowd(2, poisoned)
    assert first == second
    assert len(json.loads((tmp_path / "run" / "nonfinite.json").read_text())["clips"]) == 4


def test_nothing_of_ddp_outlives_a_run(material_of, tmp_path):
    """Not even where an error holds the loop: the last to leave a process group must not be DDP (it may hang)."""

    def interrupted(group):
        loop = make_loop(material_of(), tmp_path / "run", progress=signal_at(1, signal.SIGTERM), group=group)
        before = ddp_alive()
        with pytest.raises(Interrupted) as caught:
            loop.fit()
        return caught.value.exit_code, before, ddp_alive()

    def ddp_alive():
        return sum(type(thing) is torch.nn.parallel.DistributedDataParallel for thing in gc.get_objects())

    assert crowd(2, interrupted) == [(143, 1, 0)] * 2


def test_a_run_of_two_makes_a_model_and_goes_on_after_a_stop(clips, tmp_path):
    """From folders to a model folder: both processes get the result, and only the first one says anything."""
    out = tmp_path / "model"

    def run(listener=None, **settings):
        try:
            result = api.train(clips, out=out, overrides=[*TINY, "optim.epochs=2"], progress=listener, **settings)
        except Interrupted as error:
            return str(error)
        return result

    def begin(group):
        return run(signal_at(2, signal.SIGTERM) if group.leads else None)

    assert crowd(2, begin, joined=False) == ["stopped at step 2; continue with --resume"] * 2

    def resume(group):
        listener = Listener()
        return run(listener, resume=True), listener.notices

    (first, said), (second, silence) = crowd(2, resume, joined=False)
    assert first == second
    assert (first.steps, first.finished) == (6, True)
    assert "resuming at step 2" in said
    assert silence == []
    assert load(out).labels == ("high", "low")
    assert [done.steps for done in crowd(2, lambda _: run(resume=True), joined=False)] == [6, 6]
    with pytest.raises(AssertionError, match=r"(?s)(RunError: .* holds a model already.*){2}"):
        crowd(2, lambda _: run(), joined=False)
