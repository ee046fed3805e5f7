# SPDX-License-Identifier: Apache-2.0
"""Make the bank of negatives of `auricle enrol` for the built-in model as it is.

    python scripts/make_bank.py SHARED

SHARED holds the folders `pool` and `pool2` with their tables. The same model and recordings give the same bytes.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from auricle.audio.decode import read_audio
from auricle.enrolment.backbone import Backbone, open_backbone
from auricle.enrolment.bank import BANK_FILE, DIGITS, pack
from auricle.errors import InputError
from auricle.files import atomic_write, sha256_file
from auricle.results import FloatArray
from auricle.synth.signals import coloured_noise, harmonics, time_axis

#: Sources that the built-in model never heard, kept for checks: table, column, values.
KEPT_OUT = {
    "pool": ("package", {"klettres-data", "ufoai-sound"}),
    "pool2": (
        "source",
        {"scikit-maad/scikit-maad", "Muges/ambientsounds", "gheja/doggy-daycare", "redeclipse/sounds"},
    ),
}
CLIPS, RUNS, FRAMES = 200, 240, 6
LONGEST_S, LEAST_DEVIATION = 10.0, 1e-3


def recordings(shared: Path) -> Iterator[Path]:
    """Yield the recordings of both pools without what is kept out."""
    for pool, (column, kept_out) in KEPT_OUT.items():
        table = shared / pool / f"{pool}.csv"
        with table.open(newline="", encoding="utf-8") as file:
            yield from (table.parent / row["filename"] for row in csv.DictReader(file) if row[column] not in kept_out)


def synthetic(rate: int) -> Iterator[FloatArray]:
    """Yield sounds that every microphone gives: noise of five colours at four levels, hum, and near silence."""
    samples = 5 * rate
    for number, exponent in enumerate((0.0, 0.5, 1.0, 1.5, 2.0)):
        noise = coloured_noise(np.random.default_rng(number), samples, exponent)
        noise /= np.float32(np.abs(noise).max())
        yield from (noise * np.float32(level) for level in (0.9, 0.1, 0.01, 1e-4))
    for hertz in (50.0, 60.0):
        hum = harmonics(2 * np.pi * hertz * time_axis(samples, rate), 0.7 ** np.arange(12))
        yield from (hum * np.float32(level) for level in (0.1, 0.005))


def vectors(backbone: Backbone, shared: Path) -> tuple[list[FloatArray], list[FloatArray], list[str]]:
    """Return the clip vector and frame vectors of each sound, and the hashes of the recordings."""
    rate = backbone.spec.sample_rate
    clips, frames, heard = [], [], []
    for path in recordings(shared):
        try:
            samples = read_audio(path, sample_rate=rate, duration_s=LONGEST_S).samples
        except InputError as error:
            sys.stderr.write(f"{path}: {error}\n")
            continue
        clip, frame = backbone.vectors(samples)
        clips.append(clip[0])
        frames.append(frame)
        heard.append(sha256_file(path)[:DIGITS])
    for sound in synthetic(rate):
        clip, frame = backbone.vectors(sound)
        clips.append(clip[0])
        frames.append(frame)
    return clips, frames, heard


def main() -> None:
    """Write the file."""
    shared = Path(sys.argv[1])
    backbone = open_backbone()
    clips, frames, heard = vectors(backbone, shared)
    rng = np.random.default_rng(0)
    own = np.arange(len(heard), len(clips))  # the synthetic ones are all in
    table, every = np.stack(clips).astype(np.float64), np.concatenate([f[::4] for f in frames]).astype(np.float64)
    scales = [np.stack([t.mean(0), np.maximum(t.std(0), LEAST_DEVIATION)]) for t in (table, every)]
    chosen = np.concatenate([rng.permutation(len(heard))[: CLIPS - len(own)], own])
    long_enough = [i for i in rng.permutation(len(heard)) if len(frames[i]) >= FRAMES]
    runs = []
    for i in [*long_enough[: RUNS - len(own)], *own]:
        start = int(rng.integers(len(frames[i]) - FRAMES + 1))
        runs.append(frames[i][start : start + FRAMES])
    arrays = {
        "backbone": np.frombuffer(bytes.fromhex(backbone.sha256), np.uint8),
        "clip_scale": scales[0].astype(np.float32),
        "frame_scale": scales[1].astype(np.float32),
        "clips": pack((table[chosen] - scales[0][0]) / scales[0][1]),
        "runs": pack((np.stack(runs) - scales[1][0]) / scales[1][1]),
        "heard": np.array(sorted(int(digits, 16) for digits in set(heard)), np.uint64),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(BANK_FILE, buffer.getvalue())
    size = len(buffer.getvalue())
    sys.stdout.write(f"{BANK_FILE}: {size:,} bytes, {len(heard)} recordings, {len(own)} synthetic sounds\n")


if __name__ == "__main__":
    main()
