# SPDX-License-Identifier: Apache-2.0
"""A long recording from disk to events: speed, and that memory does not grow with length.

``auricle detect`` runs in a process of its own for 5 minutes and for 1 hour, as WAV at 16 kHz, and as WAV and FLAC at
44.1 kHz, which have to be resampled and decoded too. The kernel tells the largest memory of each process. Beside it,
the processor time of decoding and resampling alone, and of ``Detector.detect``, in one process and in turns.

    python -m benchmarks.long_file [--model MODEL] [--quick]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from auricle.audio.decode import open_audio
from auricle.runtime.detector import Detector, load
from auricle.synth.demo_scene import assemble
from auricle.synth.toy import MAKERS, make_clip
from benchmarks.machine import describe
from benchmarks.models import arguments, chosen_model
from benchmarks.timing import Candidate, take_turns

COMMAND = Path(sys.executable).with_name("auricle")
MINUTE_S = 60
FORMS = {"WAV 16 kHz": ("wav", 16_000), "WAV 44.1 kHz": ("wav", 44_100), "FLAC 44.1 kHz": ("flac", 44_100)}


def minute_of_sound(rate: int) -> np.ndarray:
    """Return a minute with a sound of each synthetic class over faint noise."""
    generator = np.random.default_rng(0)
    clips = [(label, make_clip(label, clip_s=3.0, sample_rate=rate, generator=generator)) for label in MAKERS]
    return assemble(clips, MINUTE_S, sample_rate=rate)[0]


def write_recording(path: Path, rate: int, minutes: int) -> None:
    """Write the same minute again and again."""
    minute = minute_of_sound(rate)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(minute)


def detect(path: Path, model: str) -> dict[str, float]:
    """Return wall seconds, processor seconds and peak memory in MB of one ``auricle detect``."""
    command = [str(COMMAND), "detect", str(path), "--model", model, "--format", "csv", "--quiet"]
    watched = [sys.executable, "-I", "-S", str(Path(__file__).with_name("watched.py")), *command]
    return json.loads(subprocess.run(watched, stdout=subprocess.PIPE, check=True).stdout)


def shares(path: Path, detector: Detector, rounds: int) -> dict[str, float]:
    """Return processor seconds of decoding and resampling alone, of all until events, and their ratios: medians."""

    def decode() -> None:
        with open_audio(path, sample_rate=detector.spec.sample_rate) as reader:
            for _ in reader:
                pass

    calls = {"decode": Candidate(decode), "detect": Candidate(lambda: detector.detect(path))}
    found = take_turns(calls, rounds=rounds, warm_up=0, clock=time.process_time)
    decode_s, detect_s = found["decode"].median_s, found["detect"].median_s
    return {
        "decode_s": round(decode_s, 2),
        "detect_s": round(detect_s, 2),
        "detect_to_decode": round(detect_s / decode_s, 2),
        "model_to_decode": round(detect_s / decode_s - 1, 2),
        "rounds": rounds,
    }


def main() -> None:
    options = arguments(__doc__)
    lengths, rounds = ((1, 2), 1) if options.quick else ((5, 60), 7)
    rows = []
    with TemporaryDirectory() as folder, chosen_model(options.model) as model:
        detector = load(model)
        for form, (suffix, rate) in FORMS.items():
            for minutes in lengths:
                path = Path(folder) / f"recording.{suffix}"
                write_recording(path, rate, minutes)
                own = detect(path, model)
                rows.append({"form": form, "audio_s": minutes * MINUTE_S, **own, **shares(path, detector, rounds)})
                path.unlink()
    print(json.dumps({"rows": rows, "machine": describe()}))


if __name__ == "__main__":
    main()
