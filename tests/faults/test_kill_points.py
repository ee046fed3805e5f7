# SPDX-License-Identifier: Apache-2.0
"""The one writer, killed at every system call that changes the disk, and told at every write that the disk is full.

Whatever happens: afterwards there is the old or the new, never neither, nothing damaged is loaded, and the next run
succeeds and leaves nothing behind.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import soundfile
import torch
from helpers.forks import DONE, OTHER, SYSTEM, TOLD, calls_in, traced, why_no_strace
from helpers.tinybundle import loudness_graph, make_bundle, spec_values

from auricle.batches.cache import WaveformCache, is_sound
from auricle.files import sweep_orphans
from auricle.journal import has_journal, open_journal, start_journal
from auricle.runtime.atomic_folder import INCOMING
from auricle.runtime.bundle import BundleSpec, load_bundle, write_bundle
from auricle.training.checkpoint import State, find_checkpoints, last_good_state, save_checkpoint

RATE = 8_000
PLAN = {"model": "esc10"}


class Use(Protocol):
    """One use of the writer, in a folder of its own."""

    def prepare(self, folder: Path) -> None:
        """Make the old."""

    def write(self, folder: Path) -> None:
        """Replace it by the new."""

    def what(self, folder: Path) -> str:
        """Say what a reader finds: ``old`` or ``new``; raises if it is neither."""

    def clean(self, folder: Path) -> bool:
        """Say whether nothing is left behind."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


class Checkpoints:
    """The third checkpoint, for which the first has to go."""

    def state(self, step: int) -> State:
        return State(tensors={"model.w": torch.full((4,), float(step))}, step=step)

    def prepare(self, folder: Path) -> None:
        for step in (1, 2):
            save_checkpoint(folder, self.state(step))

    def write(self, folder: Path) -> None:
        sweep_orphans(folder)
        save_checkpoint(folder, self.state(3))

    def what(self, folder: Path) -> str:
        said: list[str] = []
        state = last_good_state(folder, said.append)
        assert said == []
        assert state.tensors["model.w"].tolist() == [state.step] * 4
        return {2: "old", 3: "new"}[state.step]

    def clean(self, folder: Path) -> bool:
        return names_in(folder) == [path.name for path in find_checkpoints(folder)] and len(names_in(folder)) == 2


class Cache:
    """An entry where there was a damaged one: the old is none that a reader takes."""

    samples = np.linspace(-0.5, 0.5, 64, dtype=np.float32)

    def prepare(self, folder: Path) -> None:
        soundfile.write(folder / "a.wav", self.samples, RATE, subtype="FLOAT")
        self.write(folder)
        (entry,) = folder.rglob("*.f32")
        entry.write_bytes(b"damaged")

    def write(self, folder: Path) -> None:
        report = WaveformCache(folder / "cache", RATE).prepare([str(folder / "a.wav")])
        assert report.failures == {}

    def what(self, folder: Path) -> str:
        (entry,) = folder.rglob("*.f32")
        content = entry.read_bytes()
        if content == b"damaged":
            return "old"
        assert is_sound(content)
        cache = WaveformCache(folder / "cache", RATE)
        assert cache.prepare([str(folder / "a.wav")]).reused == 1
        assert np.array_equal(cache.load(str(folder / "a.wav")), self.samples)
        return "new"

    def clean(self, folder: Path) -> bool:
        return [name.rpartition(".")[2] for name in names_in(folder)] in (["f32", "wav"], ["wav", "f32"])


class Bundles:
    """Another model in the place of one: two files and their specification, which only fit together."""

    def prepare(self, folder: Path) -> None:
        make_bundle(folder, loudness_graph())
        (folder / "notes.txt").write_text("of the user")

    def write(self, folder: Path) -> None:
        spec = BundleSpec(**spec_values(name="new"))
        write_bundle(folder, spec, {"model.onnx": loudness_graph(scale=0.5), "golden.npz": b"new"})

    def what(self, folder: Path) -> str:
        bundle = load_bundle(folder)
        old = bundle.spec.name == "tiny"
        assert bundle.read("model.onnx") == loudness_graph(scale=1.0 if old else 0.5)
        assert ("golden.npz" in bundle) is not old
        return "old" if old else "new"

    def clean(self, folder: Path) -> bool:
        files = ["auricle.json", "golden.npz", "model.onnx", "notes.txt"]
        return names_in(folder) == files and not (folder / INCOMING).exists()


class JournalStarts:
    """The list of what is to be done: there is none before, and it is whole or not there."""

    def prepare(self, folder: Path) -> None:
        """There is no old one."""

    def write(self, folder: Path) -> None:
        start_journal(folder, PLAN, ["a", "b", "c"])

    def what(self, folder: Path) -> str:
        if not has_journal(folder):
            return "old"
        with open_journal(folder, PLAN) as journal:
            assert list(journal.pending()) == [(0, "a"), (1, "b"), (2, "c")]
        return "new"

    def clean(self, folder: Path) -> bool:
        return names_in(folder) == ["inputs", "plan.json", "records"]


class JournalRecords(JournalStarts):
    """One record more behind those that are there."""

    def prepare(self, folder: Path) -> None:
        start_journal(folder, PLAN, ["a", "b", "c"])
        with open_journal(folder, PLAN) as journal:
            journal.record(1, {"score": 0.5})

    def write(self, folder: Path) -> None:
        with open_journal(folder, PLAN) as journal:
            journal.record(0, {"score": 0.25})

    def what(self, folder: Path) -> str:
        with open_journal(folder, PLAN) as journal:
            found = list(journal.results())
        assert found[-1] == (1, "b", {"score": 0.5})
        assert found[:-1] in ([], [(0, "a", {"score": 0.25})])
        return "old" if len(found) == 1 else "new"


USES: dict[str, Use] = {
    "checkpoint": Checkpoints(),
    "cache": Cache(),
    "bundle": Bundles(),
    "journal": JournalStarts(),
    "record": JournalRecords(),
}


@dataclass(frozen=True)
class Bench:
    """A use with its prepared folder, of which each try gets a copy."""

    use: Use
    template: Path
    tries: Path

    def folder(self) -> Path:
        shutil.rmtree(self.tries, ignore_errors=True)
        return shutil.copytree(self.template, self.tries / "try")

    def run(self, *rules: str) -> tuple[Path, int]:
        """Write in a child under strace; returns the folder and the child's exit code."""
        folder = self.folder()
        code = traced(lambda: self.use.write(folder), self.tries / "log", *rules)
        assert code is not None
        return folder, code


@pytest.fixture(scope="module", params=USES)
def bench(request, tmp_path_factory):
    base = tmp_path_factory.mktemp(request.param)
    if (reason := why_no_strace(base)) is not None:
        pytest.skip(reason)
    use = USES[request.param]
    (base / "template").mkdir()
    use.prepare(base / "template")
    made = Bench(use, base / "template", base / "tries")
    warm = made.folder()
    use.write(warm)  # imports what is imported late, so that children differ in nothing
    assert use.what(made.folder()) == "old"
    return made


def points(bench: Bench, wanted: Callable[[str], bool]) -> list[tuple[str, int]]:
    """Return every system call of one undisturbed write, as name and number."""
    folder, code = bench.run()
    assert (code, bench.use.what(folder)) == (DONE, "new")
    counts = calls_in(bench.tries / "log")
    return [(name, number) for name, count in sorted(counts.items()) if wanted(name) for number in range(1, count + 1)]


def assert_next_run_succeeds(bench: Bench, folder: Path) -> None:
    bench.use.write(folder)
    assert bench.use.what(folder) == "new"
    assert bench.use.clean(folder), names_in(folder)


def test_r2_killed_at_any_point_there_is_the_old_or_the_new(bench):
    found = set()
    tried = points(bench, lambda _: True)
    assert len(tried) >= 5
    for name, number in tried:
        folder, code = bench.run(f"{name}:signal=KILL:when={number}")
        assert code == -signal.SIGKILL, (name, number)
        found.add(bench.use.what(folder))
        assert_next_run_succeeds(bench, folder)
    assert found == {"old", "new"}, "kills before and after the decisive one"


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_r1_an_error_at_any_write_leaves_the_old_or_the_new_and_no_rubbish(bench, error):
    calls = ("write", "fsync", "mkdir") if error == "EIO" else ("write", "mkdir")
    tried = points(bench, lambda name: name in calls)
    assert tried
    for name, number in tried:
        folder, code = bench.run(f"{name}:error={error}:when={number}")
        assert code in (DONE, TOLD, SYSTEM), (name, number, code == OTHER)
        what = bench.use.what(folder)
        if name == "write":
            assert (what, code != DONE) == ("old", True)
            assert not list(folder.rglob(".auricle-*")), "what was half-written is removed at once"
        assert_next_run_succeeds(bench, folder)
