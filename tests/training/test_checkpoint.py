# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what is read is what was saved, damage is named, and nothing is a pickle."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from auricle.errors import RunError
from auricle.training.checkpoint import (
    KEEP,
    State,
    find_checkpoints,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)


def make_state(step: int = 7) -> State:
    return State(
        tensors={
            "model.w": torch.randn(3, 4, generator=torch.Generator().manual_seed(step)),
            "model.n": torch.tensor(step),
            "ema.w": torch.randn(4, 3).T,  # not contiguous
            "best.w": torch.zeros(0),
        },
        step=step,
        best_score=0.1 + 0.2,
        best_epoch=2,
        history=[{"epoch": 1.0, "step": 4.0, "loss": 1 / 3}],
        losses=[0.1, 1e-300],
        fingerprint={"recipe": {"seed": 0, "speed": [0.85, 1.15]}, "version": "ä"},
    )


def test_what_is_read_is_what_was_saved(tmp_path):
    state = make_state()
    path = save_checkpoint(tmp_path / "checkpoints", state)
    loaded = load_checkpoint(path)
    assert set(loaded.tensors) == set(state.tensors)
    for name, value in state.tensors.items():
        assert torch.equal(loaded.tensors[name], value)
        assert loaded.tensors[name].dtype == value.dtype
    assert replace(loaded, tensors={}) == replace(state, tensors={})


def test_a_fresh_state_survives_too(tmp_path):
    assert load_checkpoint(save_checkpoint(tmp_path, State())) == State()


def test_parts_are_found_by_prefix():
    assert set(make_state().part("model")) == {"w", "n"}
    assert make_state().part("optim") == {}


def test_the_last_ones_stay(tmp_path):
    for step in (5, 10, 15, 20):
        save_checkpoint(tmp_path, make_state(step))
    found = find_checkpoints(tmp_path)
    assert [load_checkpoint(path).step for path in found] == [15, 20]
    assert KEEP == 2
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in found}


def test_other_files_are_no_checkpoints(tmp_path):
    (tmp_path / "checkpoint-00000001.safetensors").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    assert find_checkpoints(tmp_path) == []
    assert find_checkpoints(tmp_path / "absent") == []


def test_a_checkpoint_is_no_pickle(tmp_path):
    content = save_checkpoint(tmp_path, make_state()).read_bytes()
    header = int.from_bytes(content[:8], "little")
    assert content[8:9] == b"{"  # JSON, and after it nothing but numbers
    assert 8 + header < len(content)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: b""])
def test_a_damaged_checkpoint_is_named_with_a_way_out(tmp_path, damage):
    older = save_checkpoint(tmp_path, make_state(5))
    path = save_checkpoint(tmp_path, make_state(10))
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"{path} is damaged: {len(content)} bytes whose SHA-256 is not the one in its name; "
        f"delete it to resume from {older.name}"
    )
    assert load_checkpoint(older).step == 5


def test_the_only_checkpoint_damaged_means_starting_again(tmp_path):
    path = save_checkpoint(tmp_path, make_state())
    path.write_bytes(b"x")
    with pytest.raises(RunError, match=r"is damaged: 1 bytes .*; start again with --overwrite$"):
        load_checkpoint(path)


def test_an_optimiser_goes_on_exactly(tmp_path):
    def make() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        groups = [{"params": [net.weight], "weight_decay": 0.1}, {"params": [net.bias], "weight_decay": 0.0}]
        return net, torch.optim.AdamW(groups, lr=0.1, fused=True)

    def step(net: torch.nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
        x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()

    net, optimizer = make()
    step(net, optimizer, 1)
    state = State(tensors={f"optim.{k}": v for k, v in optimizer_tensors(optimizer).items()}, step=1)
    path = save_checkpoint(tmp_path, state)
    assert {name.split(".")[-1] for name in state.tensors} == {"step", "exp_avg", "exp_avg_sq"}
    weights = {k: v.clone() for k, v in net.state_dict().items()}
    step(net, optimizer, 2)

    other, restored = make()
    other.load_state_dict(weights)
    restore_optimizer(restored, load_checkpoint(path).part("optim"))
    step(other, restored, 2)
    assert torch.equal(other.weight, net.weight)
    assert torch.equal(other.bias, net.bias)
    assert [group["weight_decay"] for group in restored.param_groups] == [0.1, 0.0]
