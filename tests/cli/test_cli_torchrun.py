# SPDX-License-Identifier: Apache-2.0
"""``torchrun -m auricle train``: two processes speak as one, stop together, and continue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from test_cli_train import SMALL

from auricle.synth.toy import synthesise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return synthesise(tmp_path_factory.mktemp("toy") / "toy", clips_per_class=3, clip_s=0.5, sample_rate=8_000)


@pytest.fixture
def torchrun(toy, tmp_path):
    """Start two processes that train on the toy."""

    def start(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command += ["-m", "auricle", "train", str(toy), "--out", str(tmp_path / "model"), "--device", "cpu", *SMALL]
        environment = {**os.environ, "AURICLE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, *map(str, words)], stdout=pipe, stderr=pipe, text=True, env=environment)

    return start


def test_two_processes_print_one_result(torchrun, tmp_path):
    out, err = torchrun("--epochs", 2, "--format", "json").communicate(timeout=300)
    (line,) = [line for line in out.splitlines() if line.startswith("{")]
    assert json.loads(line)["epochs"] == 2
    assert err.count("train: ") == 1
    assert (tmp_path / "model" / "auricle.json").is_file()

    process = torchrun("--epochs", 2)
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert err.count("holds a model already; --resume resumes it") == 1


def test_sigterm_saves_and_the_run_goes_on(torchrun, tmp_path):
    process = torchrun("--epochs", 4000)
    log = tmp_path / "model" / "run" / "log.csv"
    deadline = time.monotonic() + 300
    while not (log.is_file() and len(log.read_text().splitlines()) > 1) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    (text,) = [line for line in err.splitlines() if "continue with --resume" in line]
    step = int(text.split("step ")[1].split(";")[0])
    (last,) = {int(p.name.split("-")[1]) for p in (tmp_path / "model" / "run" / "checkpoints").iterdir()} - set(
        range(step)
    )
    assert last == step

    process = torchrun("--epochs", 4000, "--resume")
    time.sleep(1)
    deadline = time.monotonic() + 300
    lines = []
    while time.monotonic() < deadline:
        lines.append(process.stderr.readline())
        if "resuming at step" in lines[-1]:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert f"resuming at step {step}\n" in lines
