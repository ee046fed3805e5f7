# SPDX-License-Identifier: Apache-2.0
"""``auricle studio`` at the command line: it says where it is, ends on a signal, exports, and refuses with reasons."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys

import httpx
import pytest
import soundfile
from helpers.studios import RATE, beeps

from auricle.cli.main import main
from auricle.errors import RunError
from auricle.studio.project import Studio


@pytest.fixture
def folder(tmp_path):
    soundfile.write(tmp_path / "a.wav", beeps(4, [1]), RATE)
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + bytes(60))
    return tmp_path


def test_it_prints_its_address_names_what_it_cannot_read_and_ends_on_ctrl_c(folder):
    command = [sys.executable, "-m", "auricle", "studio", str(folder), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "studio for" in line:
                break
        assert any("bad.wav" in line for line in lines[:-1])
        assert lines[-1].startswith(f"auricle: studio for 1 recording of {folder} on http://127.0.0.1:")
        address = lines[-1].split(" on ")[1].split()[0]
        assert httpx.get(f"{address}v1/studio", trust_env=False).json()["recordings"] == 1
        with pytest.raises(RunError, match="is open in another studio"):
            Studio(folder)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert "Traceback" not in process.stderr.read()
    with Studio(folder):
        pass  # the lock is free again


def run(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    return ended.value.code or 0


def test_labels_are_exported(folder, tmp_path, capsys):
    with Studio(folder, by="ann") as found:
        found.label("a.wav", 1.0, 1.5, "beep")
    target = tmp_path / "out.csv"
    assert run("studio", str(folder), "--export", "csv", "--to", str(target)) == 0
    (row,) = csv.DictReader(target.read_text().splitlines())
    assert (row["path"], row["onset"], row["offset"], row["label"]) == ("a.wav", "1.0", "1.5", "beep")
    assert (row["verdict"], row["by"]) == ("yes", "ann")


def test_what_is_no_folder_is_refused(folder, capsys):
    assert run("studio", str(folder / "nowhere")) == 2
    assert "does not exist; give a folder of recordings" in capsys.readouterr().err
