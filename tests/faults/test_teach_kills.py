# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of ``auricle teach``, ten times: the folder is that of a run left alone, byte for byte."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.toydata import content

KILLS = 10


def done(folder: Path) -> int:
    """Return how many shards are finished."""
    return len(list(folder.glob("shards/*.json")))


@pytest.mark.slow
def test_400_clips_killed_ten_times_are_labelled_as_if_nothing_had_happened(shared, tmp_path):
    teacher = shared / "models" / "mn04_as_mAP_432.pt"
    command = [sys.executable, "-m", "auricle", "teach", shared / "data" / "esc10", "--teacher", teacher, "--fit", "-q"]
    began = time.monotonic()
    whole = subprocess.Popen([*command, "--out", tmp_path / "whole"])
    while not done(tmp_path / "whole"):
        assert whole.poll() is None
        time.sleep(0.01)
    start_s = time.monotonic() - began
    assert whole.wait() == 0
    shards = done(tmp_path / "whole")
    shard_s = (time.monotonic() - began - start_s) / shards
    assert shards > KILLS
    chance, parts, progress = random.Random(0), tmp_path / "parts", []
    for attempt in range(KILLS):
        process = subprocess.Popen([*command, "--out", parts, *(["--resume"] if parts.exists() else [])])
        before = done(parts)
        if attempt % 3:  # in the middle of the work: one shard further, and somewhere in the next
            while done(parts) == before:
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(chance.uniform(0, shard_s))
        else:  # while it starts or reads, or in the first shard
            time.sleep(chance.uniform(0, start_s))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        progress.append(done(parts) - before)
    assert 0 in progress
    assert done(parts) < shards  # no kill came after the work
    subprocess.run([*command, "--out", parts, "--resume"], check=True)
    assert content(parts) == content(tmp_path / "whole")
