# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what is read is what was saved, damage is named, and nothing is a pickle."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from auricle.errors import RunError, TrainingError
from auricle.files import sha256_bytes
from auricle.training import checkpoint
from auricle.training.checkpoint import (
    KEEP,
    State,
    damage_of,
    find_checkpoints,
    last_good_state,
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
        micro_batches=4,
        skipped_clips=[3, 1],
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


def test_clips_that_version_0_1_would_not_read_any_more_are_skipped(tmp_path, monkeypatch):
    """Its name of that key was another; what it saved is read as it was meant."""
    now = dataclasses.asdict

    def then(state):
        return {("quarantine" if key == "skipped_clips" else key): value for key, value in now(state).items()}

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "asdict", then)
        path = save_checkpoint(tmp_path, make_state())
    assert b'"quarantine": [3, 1]' in path.read_bytes().replace(b"\\", b"")
    assert load_checkpoint(path).skipped_clips == [3, 1]


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


def cut(content: bytes) -> bytes:
    return content[:-1]


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def spoil(path: Path, damage: Callable[[bytes], bytes]) -> int:
    size = path.stat().st_size
    path.write_bytes(damage(path.read_bytes()))
    return size


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (cut, "truncated, {less} of {size} bytes"),
        (flip, "{size} bytes whose SHA-256 is not the one in its name"),
        (lambda _: b"", "0 bytes whose SHA-256 is not the one in its name"),
    ],
)
def test_c1_c2_a_damaged_checkpoint_is_named_with_a_way_out(tmp_path, damage, text):
    older = save_checkpoint(tmp_path, make_state(5))
    path = save_checkpoint(tmp_path, make_state(10))
    size = spoil(path, damage)
    with pytest.raises(RunError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"{path} is damaged: {text.format(size=size, less=size - 1)}; delete it to resume from {older.name}"
    )
    assert load_checkpoint(older).step == 5


def test_c1_a_run_goes_on_from_the_one_before_and_says_so(tmp_path):
    save_checkpoint(tmp_path, make_state(5))
    path = save_checkpoint(tmp_path, make_state(10))
    size = spoil(path, cut)
    said: list[str] = []
    state = last_good_state(tmp_path, said.append)
    assert state is not None
    assert state.step == 5
    assert said == [
        f"the checkpoint {path.name} is damaged (truncated, {size - 1} of {size} bytes); taking the one before it"
    ]
    assert [p.name for p in tmp_path.glob("damaged-*")] == [f"damaged-{path.name}"]
    assert last_good_state(tmp_path, said.append).step == 5
    assert len(said) == 1, "it is named once"


def test_without_a_good_checkpoint_nothing_is_begun_in_silence(tmp_path):
    assert last_good_state(tmp_path, print) is None
    spoil(save_checkpoint(tmp_path, make_state(5)), flip)
    with pytest.raises(RunError, match=r"all 1 checkpoints in .* are damaged; start again with --overwrite$"):
        last_good_state(tmp_path, lambda _: None, put_aside=False)
    assert len(find_checkpoints(tmp_path)) == 1, "a run that is only read is left as it is"


def test_c1_c2_every_cut_and_flipped_bit_is_seen(tmp_path):
    path = save_checkpoint(tmp_path, make_state())
    content = path.read_bytes()
    assert len(content) <= 20_000
    assert damage_of(path.name, content) is None
    assert not [size for size in range(len(content)) if damage_of(path.name, content[:size]) is None]
    rng = np.random.default_rng(0)
    damaged = bytearray(content)
    for place, bit in zip(rng.integers(len(content), size=10_000), rng.integers(8, size=10_000), strict=True):
        damaged[place] ^= 1 << bit
        assert damage_of(path.name, bytes(damaged)) is not None, (place, bit)
        damaged[place] ^= 1 << bit


def named(folder: Path, content: bytes) -> Path:
    """Write content under the name that vouches for it."""
    path = folder / f"checkpoint-00000007-{sha256_bytes(content)}.safetensors"
    path.write_bytes(content)
    return path


def test_c3_a_pickle_under_a_checkpoints_name_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    for content in (pickle.dumps(Bomb()), b"", b"\x02\0\0\0\0\0\0\0[]", save({"a": torch.zeros(1)})):
        with pytest.raises(RunError, match=r"is no checkpoint of auricle's; start again with --overwrite$"):
            load_checkpoint(named(tmp_path, content))
    assert not (tmp_path / "exploded").exists()


def test_c4_declared_sizes_are_believed_only_where_the_bytes_are_there(tmp_path):
    header = {
        "model.w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4]},
        "__metadata__": {"auricle": "{}"},
    }
    text = json.dumps(header).encode()
    with pytest.raises(RunError, match="is no checkpoint of auricle's"):
        load_checkpoint(named(tmp_path, len(text).to_bytes(8, "little") + text + b"\0\0\0\0"))


def test_c5_weights_that_are_not_finite_are_refused(tmp_path):
    state = make_state()
    state.tensors["model.w"][0, 0] = torch.nan
    path = save_checkpoint(tmp_path, state)
    with pytest.raises(RunError, match=r"holds weights that are not finite \(model\.w\); delete it, or start with"):
        load_checkpoint(path)


def test_c8_c9_later_formats_name_both_versions_and_earlier_ones_are_read(tmp_path):
    def file(**header: object) -> Path:
        return named(tmp_path, save({"model.w": torch.zeros(1)}, {"auricle": json.dumps({"step": 3, **header})}))

    assert load_checkpoint(file()).step == 3
    assert load_checkpoint(file(quarantine=[7], auricle="0.1.0")).skipped_clips == [7]  # the name of then
    for header in ({"format": 2, "auricle": "7.1"}, {"format": 1, "auricle": "7.1", "moon": "full"}):
        with pytest.raises(
            RunError, match=r"was made by auricle 7.1 \(format \d\), this is auricle [\d.]+ \(format 1\)"
        ):
            load_checkpoint(file(**header))


def test_r1_a_full_disk_is_told_and_the_checkpoint_before_stays(tmp_path, monkeypatch):
    older = save_checkpoint(tmp_path, make_state(5))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "atomic_write", full)
    with pytest.raises(TrainingError) as caught:
        save_checkpoint(tmp_path, make_state(10))
    assert str(caught.value).startswith("the checkpoint of step 10 (")
    assert str(caught.value).endswith(
        f" bytes) cannot be written into {tmp_path}: No space left on device; {older.name} is intact: "
        "see to the disk, then continue with --resume"
    )
    assert caught.value.exit_code == 1
    with pytest.raises(TrainingError, match="there is none before it: see to the disk"):
        save_checkpoint(tmp_path / "other", make_state(10))


def test_as_many_stay_as_the_recipe_says(tmp_path):
    for step in range(1, 7):
        save_checkpoint(tmp_path, make_state(step), keep=4)
    assert [load_checkpoint(path).step for path in find_checkpoints(tmp_path)] == [3, 4, 5, 6]


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
