# SPDX-License-Identifier: Apache-2.0
"""Training on a Ray cluster: what torchrun's processes compute, stopped and gone on with like any other run."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import Future

import pytest
from helpers.crowd import crowd
from helpers.toydata import TINY, Listener, signal_at, write_folders
from safetensors.numpy import load_file

from auricle import api
from auricle.errors import AuricleError, Interrupted, RunError, TrainingError, UsageError
from auricle.progress import Progress, Telling
from auricle.runtime.detector import load
from auricle.scale.ray_train import require_success


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("ray") / "clips")


def train(clips, out, listener=None, **settings):
    return api.train(clips, out=out, overrides=TINY, progress=listener, **settings)


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_two_workers_compute_what_two_processes_of_torchrun_compute(clips, cluster, tmp_path):
    """Whole, and stopped by SIGTERM and gone on with: to the bit."""
    listener = Listener()
    result = train(clips, tmp_path / "ray", listener, engine="ray", workers=2)
    assert (result.steps, result.finished) == (6, True)
    assert result.path == str(tmp_path / "ray")
    assert len(listener.losses) == 6
    assert [row["step"] for row in listener.rows] == [3, 6]
    assert load(tmp_path / "ray").labels == ("high", "low")
    assert not (tmp_path / "ray" / "run" / "ray").exists()

    crowd(2, lambda _: train(clips, tmp_path / "torchrun").steps, joined=False)
    expected = load_file(tmp_path / "torchrun" / "model.safetensors")
    found = load_file(tmp_path / "ray" / "model.safetensors")
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in expected.items()}

    with pytest.raises(Interrupted, match=r"^stopped at step \d; continue with --resume$") as stopped:
        train(clips, tmp_path / "stopped", signal_at(1, signal.SIGTERM), engine="ray", workers=2)
    assert stopped.value.exit_code == 143
    listener = Listener()
    assert train(clips, tmp_path / "stopped", listener, engine="ray", workers=2, resume=True).steps == 6
    assert any(text.startswith("resuming at step") for text in listener.notices)
    again = load_file(tmp_path / "stopped" / "model.safetensors")
    assert {k: v.tobytes() for k, v in again.items()} == {k: v.tobytes() for k, v in expected.items()}


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_what_a_worker_refuses_is_said_as_it_is(clips, cluster, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        train(tmp_path / "nowhere", tmp_path / "model", engine="ray", workers=2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"holds other things than a model \(thesis.txt\); choose another folder"):
        train(clips, tmp_path / "full", engine="ray", workers=2)


def test_what_ended_the_workers_is_told():
    """An error of ours as it is; a worker that was lost, with a way out."""

    class Wrapped(Exception):
        def __init__(self, cause):
            self._base_exc = cause

    class WorkersFailed(Exception):
        def __init__(self, *failures):
            super().__init__("training failed")
            self.worker_failures = dict(enumerate(failures))

    def ended(error):
        future = Future()
        future.set_exception(error)
        with pytest.raises(AuricleError) as caught:
            require_success(future)
        return type(caught.value), str(caught.value)

    ours = Wrapped(RunError("the folder is in use"))
    assert ended(WorkersFailed(RuntimeError("gloo: closed"), ours)) == (RunError, "the folder is in use")
    lost = "a worker of the cluster was lost (the actor\n died); continue with --resume".replace("\n", "")
    assert ended(WorkersFailed(RuntimeError("the actor\n died"))) == (TrainingError, lost)
    assert ended(ValueError("no head")) == (TrainingError, lost.replace("the actor died", "no head"))


def test_workers_are_for_ray(clips, tmp_path):
    with pytest.raises(UsageError, match=r"^workers = 2 is for engine ray: on one machine start processes with torchr"):
        train(clips, tmp_path / "model", workers=2)


def test_without_ray_it_is_said_how_to_get_it(clips, tmp_path, monkeypatch, capsys):
    from auricle.cli.main import main

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.util.queue", None)
    scan = ["tag", str(clips), "--model", "esc10", "--out", str(tmp_path / "scan"), "--engine", "ray"]
    for words in (["train", str(clips), "--out", str(tmp_path / "model"), "--engine", "ray"], scan):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert 'which is not installed; do: pip install "auricle[scale]"' in capsys.readouterr().err


def test_what_is_told_is_what_would_have_been_heard():
    told = []
    telling = Telling(lambda name, values: told.append((name, values)))
    telling.notice("a")
    telling.preparing(3)
    telling.file_prepared()
    telling.training_starts(9, 1, 0.5)
    telling.step_done(2, 0.25)
    telling.epoch_done({"loss": 1.0})
    assert [name for name, _ in told] == [name for name in vars(Progress) if not name.startswith("_")]
    heard = Listener()
    for name, values in told:
        getattr(heard, name)(*values)
    assert (heard.notices, heard.losses, heard.rows, heard.starts) == (["a"], [0.25], [{"loss": 1.0}], [(9, 1)])
