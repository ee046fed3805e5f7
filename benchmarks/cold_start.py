# SPDX-License-Identifier: Apache-2.0
"""How long a person waits: ``auricle tag`` of a clip of 5 s and ``auricle --help``, a new process each time.

python -m benchmarks.cold_start [--model MODEL] [--quick]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from benchmarks.machine import describe
from benchmarks.models import arguments, chosen_model
from benchmarks.timing import Candidate, take_turns

COMMAND = Path(sys.executable).with_name("auricle")


def run(*words: str) -> None:
    """Run the installed command to its end."""
    subprocess.run([COMMAND, *words], check=True, capture_output=True)


def main() -> None:
    options = arguments(__doc__)
    with TemporaryDirectory() as folder, chosen_model(options.model) as model:
        clip = f"{folder}/clip.wav"
        soundfile.write(clip, np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32), 16_000)
        candidates = {
            "auricle tag clip.wav": Candidate(lambda: run("tag", clip, "--model", model)),
            "auricle --help": Candidate(lambda: run("--help")),
            "python -c pass": Candidate(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)),
        }
        timings = take_turns(candidates, rounds=2 if options.quick else 15)
    result = {
        "timings": {name: timing.to_dict() for name, timing in timings.items()},
        "machine": describe(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
