# SPDX-License-Identifier: Apache-2.0
"""Loader processes that die, hang or fail: batches keep coming, the file at fault is named and skipped."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import torch
from helpers.toydata import Listener, make_loop, tiny_of
from torch.utils.data import get_worker_info

from auricle.batches import crops
from auricle.batches.crops import ClipReader
from auricle.batches.loader import FeedingError
from auricle.batches.worker_status import UnreadableClip, WorkerStatus
from auricle.errors import InputError
from auricle.progress import Progress
from auricle.training.checkpoint import State, find_checkpoints, load_checkpoint
from auricle.training.preparation import prepare, read_training_data
from auricle.training.request_recipe import make_request_recipe

BAD = "low/3.wav"


@pytest.fixture(scope="module")
def whole(material_of, tmp_path_factory):
    return make_loop(material_of(), tmp_path_factory.mktemp("whole") / "run").fit()


@dataclass(frozen=True)
class Trapped(ClipReader):
    """A reader that springs a trap at some clips."""

    keys: tuple[str, ...] = (BAD,)
    trap: Callable[[], None] = lambda: None

    def read(self, clip):
        if clip.key in self.keys:
            self.trap()
        return super().read(clip)


def trapped(material, trap, *keys: str) -> Trapped:
    values = {field.name: getattr(material.reader, field.name) for field in fields(ClipReader)}
    return Trapped(**values, trap=trap, keys=keys if keys else (BAD,))


def crash(number: int) -> Callable[[], None]:
    """Die in a loader process; the training process reads on."""
    return lambda: os.kill(os.getpid(), number) if get_worker_info() is not None else None


@pytest.fixture(scope="module")
def raw_material(clips):
    """The clips for a network of waveforms."""
    settings = [*tiny_of("rawnet"), "data.balance=none", "data.workers=2"]
    recipe = make_request_recipe("rawnet", None, settings, None)
    return prepare(read_training_data(clips, recipe), recipe, Progress())


def number_of(material, key: str) -> int:
    return [clip.key for clip in material.manifest.clips].index(key)


@pytest.fixture(scope="module")
def without(material_of, tmp_path_factory):
    """The state of a run that never read the bad clip."""
    material = material_of()
    state = State(skipped_clips=[number_of(material, BAD)])
    return make_loop(material, tmp_path_factory.mktemp("without") / "run", state=state).fit()


def assert_same(found: State, expected: State) -> None:
    assert (found.step, found.history, found.skipped_clips) == (expected.step, expected.history, expected.skipped_clips)
    assert [k for k, v in expected.tensors.items() if not torch.equal(found.tensors[k], v)] == []


# --- one file is to blame


def test_r12_a_file_that_kills_its_reader_is_skipped_at_the_second_time(material_of, without, tmp_path):
    material, listener = material_of("data.workers=2"), Listener()
    reader = trapped(material, crash(signal.SIGUSR2))
    state = make_loop(material, tmp_path / "run", reader=reader, progress=listener).fit()
    assert_same(state, without)
    first, second = listener.notices
    assert first.startswith(f"{BAD} was being read when loader process ")
    assert " ended by SIGUSR2 (the largest so far took " in first
    assert first.endswith(" MB); trying again")
    assert second.startswith(f"{BAD} was being read when ")
    assert second.endswith(" again; skipped from now on, another clip takes its place")
    assert json.loads((tmp_path / "run" / "skipped_clips.json").read_text()) == {"step": 8, "clips": [BAD]}


def test_networks_of_waveforms_skip_such_a_file_too(raw_material, tmp_path):
    material, listener = raw_material, Listener()
    reader = trapped(material, crash(signal.SIGUSR2))
    state = make_loop(material, tmp_path / "run", reader=reader, progress=listener).fit()
    never_read = State(skipped_clips=[number_of(material, BAD)])
    assert_same(state, make_loop(material, tmp_path / "without", state=never_read).fit())
    assert [said.split(" ended by ")[0].split(" when")[0] for said in listener.notices] == [f"{BAD} was being read"] * 2
    assert listener.notices[1].endswith(" again; skipped from now on, another clip takes its place")


def test_r11_a_process_that_was_killed_once_costs_nothing(material_of, whole, tmp_path):
    flag = tmp_path / "killed"

    def once() -> None:
        if get_worker_info() is not None and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    material, listener = material_of("data.workers=2"), Listener()
    state = make_loop(material, tmp_path / "run", reader=trapped(material, once), progress=listener).fit()
    assert_same(state, whole)
    (said,) = listener.notices
    assert " ended by SIGKILL, out of memory? (the largest so far took " in said
    assert not (tmp_path / "run" / "skipped_clips.json").exists()


def test_r13_a_process_that_hangs_writes_its_stack_and_is_replaced(material_of, without, tmp_path):
    def hang() -> None:
        if get_worker_info() is not None:
            time.sleep(600)

    material, listener = material_of("data.workers=1", "run.worker_timeout_s=1.0"), Listener()
    state = make_loop(material, tmp_path / "run", reader=trapped(material, hang), progress=listener).fit()
    assert_same(state, without)
    dump = tmp_path / "run" / "hung.txt"
    assert "in hang" in dump.read_text()
    assert sum(said.endswith(f" hang; where, is in {dump}") for said in listener.notices) == 2
    assert re.search(rf"^{BAD} was being read for \d+ s; trying again$", "\n".join(listener.notices), re.MULTILINE)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_can_be_read_no_more_is_skipped(material_of, without, tmp_path, workers):
    def vanish() -> None:
        raise InputError("vanished", "the file is gone")

    material, listener = material_of(f"data.workers={workers}"), Listener()
    loop = make_loop(material, tmp_path / "run", reader=trapped(material, vanish), progress=listener)
    loop._seconds_a_step = lambda: 1.0
    assert_same(loop.fit(), without)
    assert len(listener.notices) == 2
    assert listener.notices[0].startswith(f"{BAD} could not be read (")
    assert "the file is gone" in listener.notices[0]


def test_a_resumed_run_skips_the_same_clips(material_of, without, tmp_path):
    material, folder = material_of("data.workers=2", "run.checkpoint_every_steps=1"), tmp_path / "run"
    reader = trapped(material, crash(signal.SIGUSR2))

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(BaseException, match="stopped at step 6"):
        make_loop(material, folder, reader=reader, progress=Listener(6, stop)).fit()
    state, listener = load_checkpoint(find_checkpoints(folder / "checkpoints")[-1]), Listener()
    assert_same(make_loop(material, folder, state=state, reader=reader, progress=listener).fit(), without)
    assert listener.notices == []


# --- no file is to blame


def test_all_processes_killed_during_a_step_cost_nothing(material_of, whole, tmp_path):
    others = set(multiprocessing.active_children())  # a server that tests share, for one

    def kill_all() -> None:
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
            child.join()

    material = material_of("data.workers=2")
    assert_same(make_loop(material, tmp_path / "run", progress=Listener(3, kill_all)).fit(), whole)


def test_too_many_bad_files_stop_the_run_which_loses_nothing(material_of, tmp_path):
    material, folder = material_of("data.workers=1"), tmp_path / "run"
    reader = trapped(material, crash(signal.SIGUSR2), *(f"high/{i}.wav" for i in range(8)))
    listener = Listener()
    with pytest.raises(FeedingError) as caught:
        make_loop(material, folder, reader=reader, progress=listener).fit()
    assert "2 of 16 clips are skipped, the last is high/" in str(caught.value)
    assert str(caught.value).endswith(
        "at most 10% may be: if memory was short, lower data.workers or data.batch_size, else check the disk, "
        "then continue with --resume"
    )
    assert load_checkpoint(find_checkpoints(folder / "checkpoints")[-1]).step == len(listener.losses)


def test_processes_that_die_of_nothing_stop_the_run(material_of, tmp_path, monkeypatch):
    def die(sources, crops):
        if get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return collate(sources, crops)

    collate = crops.collate_targets
    monkeypatch.setattr(crops, "collate_targets", die)
    with pytest.raises(FeedingError) as caught:
        make_loop(material_of("data.workers=1"), tmp_path / "run").fit()
    assert str(caught.value).startswith("loader processes keep failing while they read nothing (loader process ")
    assert " ended by SIGKILL, out of memory? (" in str(caught.value)
    assert str(caught.value).endswith(
        "); lower data.workers (0 loads in the training process) or data.batch_size, then continue with --resume"
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_of_ours_is_no_fault_of_a_file(material_of, tmp_path, workers):
    def mistake() -> None:
        raise KeyError("typo")

    material = material_of(f"data.workers={workers}")
    loop = make_loop(material, tmp_path / "run", reader=trapped(material, mistake))
    loop._seconds_a_step = lambda: 1.0
    with pytest.raises(KeyError, match="typo"):
        loop.fit()


# --- leaving the process as it was


def test_no_process_and_no_handler_stays(material_of, tmp_path):
    before, others = signal.getsignal(signal.SIGCHLD), set(multiprocessing.active_children())
    make_loop(material_of("data.workers=2"), tmp_path / "run").fit()
    assert signal.getsignal(signal.SIGCHLD) is before
    assert set(multiprocessing.active_children()) <= others


def test_it_runs_outside_the_main_thread(material_of, whole, tmp_path):
    done: list[State] = []
    loop = make_loop(material_of("data.workers=1"), tmp_path / "run")
    thread = threading.Thread(target=lambda: done.append(loop.fit()))
    thread.start()
    thread.join()
    assert_same(done[0], whole)


def test_the_board_is_where_processes_say_what_they_do(tmp_path):
    watch = WorkerStatus(0, Path(tmp_path / "hung.txt"))
    with watch.reading(5):
        (seen,) = watch.look()
        assert (seen.reading, seen.failed) == (5, None)
    with pytest.raises(UnreadableClip, match="gone"), watch.reading(7):
        raise OSError("gone")
    with pytest.raises(KeyError), watch.reading(8):
        raise KeyError
    (seen,) = watch.look()
    assert (seen.reading, seen.for_s, seen.failed) == (None, 0.0, 7)
