# SPDX-License-Identifier: Apache-2.0
"""The table of events in time: scenes made of ESC-10, the CRNN both ways round, and a yardstick.

    python -m benchmarks.sed scenes SHARED OUT       makes the scenes: train of folds 1-3, dev of 4, test of 5
    python -m benchmarks.sed run OUT [ROW ...]       trains what is missing, one row after the other (resumable)
    python -m benchmarks.sed table OUT               writes docs/results/sed.md from what is there

All rows take the same steps over the same scenes, select nothing, and keep the last averaged weights. The frame scores
of dev and test are stored; rules for events are chosen on those of dev and measured on those of test.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.exporting.cost import count_multiply_adds
from auricle.files import atomic_write, write_json
from auricle.progress import Progress
from benchmarks import yardstick
from benchmarks.machine import describe

SCENES = "scenes"
BACKGROUNDS = ("rain", "sea_waves", "crackling_fire")
PARTS = ("train=1,2,3:1000", "dev=4:200", "test=5:200")
SCENE_S, RATE = 10.0, 16_000
#: What all rows share; the rest are defaults of auricle and, for the yardstick, of its module.
SHARED = (
    *("data.clip_s=10", "data.batch_size=8", "data.dev=none", "data.workers=0", "optim.epochs=6", "optim.lr=0.002"),
    *("optim.warmup_steps=50", "augment.mixup_alpha=0.2", "run.early_stop=null", "run.precision=float32"),
)

#: Of a network that knows sounds already, the last layers and the branch of frames are fitted; one step follows.
FITTED = ("optim.steps=1", "optim.lr=0.0006")


@dataclass(frozen=True)
class Row:
    """A network, or a model to begin with, and how often it is trained."""

    name: str
    what: str
    begin: Mapping[str, str]
    settings: tuple[str, ...]
    seeds: tuple[int, ...]


ROWS = (
    Row("crnn", "CRNN", {"model": "crnn"}, (), (0, 1, 2)),
    Row("causal", "CRNN, `causal: true`", {"model": "crnn"}, ("model.causal=true",), (0, 1, 2)),
    Row("yardstick", "CRNN of the DESED baseline's shape", {"model": yardstick.NAME}, (), (0,)),
    Row("general", "`general`, last layers and branch fitted", {"init": "general"}, FITTED, (0, 1, 2)),
)


class Say(Progress):
    """Prints a line a minute."""

    def __init__(self, name: str) -> None:
        self.name, self.said = name, time.monotonic()

    def notice(self, text: str) -> None:
        print(f"{self.name}: {text}", flush=True)

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        minutes = (total_steps - done_steps) * seconds_a_step / 60
        print(f"{self.name}: {total_steps - done_steps} steps of {seconds_a_step:.2f} s, {minutes:.1f} min", flush=True)

    def step_done(self, step: int, loss: float) -> None:
        if time.monotonic() - self.said > 60:
            self.said = time.monotonic()
            print(f"{self.name}: step {step}, loss {loss:.4f}", flush=True)


def make_scenes(shared: Path, out: Path) -> None:
    """Make the scenes by the command that anybody can give."""
    words = [sys.executable, "-m", "auricle", "data", "synth", str(shared / "data/esc10/esc10.csv"), "--out"]
    words += [str(out / SCENES), *(w for part in PARTS for w in ("--part", part))]
    words += [w for label in BACKGROUNDS for w in ("--background", label)]
    subprocess.run(words, check=True)


def runs(names: list[str]) -> Iterator[tuple[Row, int]]:
    """Return what is to be trained: all rows with their first seed, then the other seeds."""
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    chosen = [row for row in ROWS if not names or row.name in names]
    for place in range(max(len(row.seeds) for row in chosen)):
        yield from ((row, row.seeds[place]) for row in chosen if place < len(row.seeds))


def run(out: Path, names: list[str], settings: list[str]) -> None:
    """Train and score what is missing; settings are for tries, and kept with what they made."""
    for row, seed in runs(names):
        folder = out / f"{row.name}-{seed}"
        if (folder / "done.json").is_file():
            continue
        overrides = [*SHARED, *row.settings, *settings]
        started = time.monotonic()
        resume = (folder / "model").is_dir()
        result = api.train(
            out / SCENES, out=folder / "model", overrides=overrides, seed=seed, resume=resume,
            progress=Say(f"{row.name}-{seed}"), **row.begin,
        )  # fmt: skip
        minutes = (time.monotonic() - started) / 60
        detector = api.load(folder / "model")
        for part in ("dev", "test"):
            store_scores(detector, out / SCENES, part, folder / f"{part}.npz")
        content = (folder / "model" / "model.onnx").read_bytes()
        facts = {
            "steps": result.steps,
            "minutes": round(minutes, 1),
            "resumed": resume,
            "parameters": detector.spec.provenance.parameters,
            "multiply_adds": count_multiply_adds(content, round(SCENE_S * RATE)),
            "settings": overrides,
            "data_hash": detector.spec.provenance.data_hash,
            "clip_figures": {} if result.test is None else {k: v.value for k, v in result.test.metrics.items()},
            "commit": describe()["commit"],
        }
        write_json(folder / "done.json", facts)
        print(f"{row.name}-{seed}: done in {minutes:.1f} min", flush=True)


def store_scores(detector: api.Detector, scenes: Path, part: str, path: Path) -> None:
    """Store the frame scores of a part: ``values (scene, frame, label)``, ``times (frame,)``, names and labels."""
    clips = [clip for clip in read_manifest(scenes).clips if clip.split == part]
    scored = [detector.frames(clip.path) for clip in clips]
    values = np.stack([s.values for s in scored]).astype(np.float32)
    names, labels = np.array([clip.key for clip in clips]), np.array(detector.labels)
    atomic_write(path, lambda f: np.savez(f, values=values, times=scored[0].times, names=names, labels=labels))


def main() -> None:
    """Do what the first word says."""
    words = sys.argv[1:]
    yardstick.register()
    if len(words) == 3 and words[0] == "scenes":
        make_scenes(Path(words[1]), Path(words[2]))
    elif len(words) >= 2 and words[0] == "run":
        names = [word for word in words[2:] if "=" not in word]
        run(Path(words[1]), names, [word for word in words[2:] if "=" in word])
    elif len(words) == 2 and words[0] == "table":
        from benchmarks.sedtable import PAGE, page

        atomic_write(PAGE, page(Path(words[1])).encode())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
