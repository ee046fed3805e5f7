# SPDX-License-Identifier: Apache-2.0
"""Data sets of tones made in a moment, and the smallest recipe that trains on them.

folder = write_folders(tmp_path / "clips")        # low/ and high/ (tones), 8 clips each, and other/ (noise)
material = prepare(read_training_data(folder, tiny()), tiny(), Progress())
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import soundfile
import torch

from auricle.errors import ConfigError
from auricle.nn.networks import build_network
from auricle.progress import Progress
from auricle.recipe.network import FRONTEND_KEYS, NETWORKS
from auricle.recipe.schema import Recipe, load_recipe, make_recipe
from auricle.training.checkpoint import State
from auricle.training.loop import Loop
from auricle.training.preparation import Material, training_set

RATE = 8_000
#: Says all that tests rely on, for ``crnn``: defaults may change.
TINY = (
    "model.width=0.125",
    "model.dropout=0.2",
    "model.texture=false",  # a third of a tiny run's time; tests/training/test_fit_statistics.py and the laws have it
    f"frontend.sample_rate={RATE}",
    "frontend.n_mels=16",
    "frontend.window_ms=25",
    "frontend.hop_ms=10",
    "model.time_stride=4",
    "augment.mixup_alpha=0.3",
    "augment.mixup_by=amplitude",
    "augment.speed=[0.85, 1.15]",
    "augment.freq_mask_mels=4",
    "augment.masks=2",
    "data.clip_s=0.5",
    "data.batch_size=4",
    "data.workers=0",
    "optim.epochs=2",
    "optim.lr=0.002",
    "optim.warmup_steps=2",
    "run.precision=float32",
    "run.device=cpu",
    "run.threads=1",
)
PITCHES = {"low": 300.0, "high": 1_500.0}


def usable(network: str, overrides: Iterable[str]) -> list[str]:
    """Return the overrides whose keys the network uses; other ones are errors."""
    options = NETWORKS.get(network)
    used = {
        "model": frozenset(options.model_fields),
        "frontend": FRONTEND_KEYS.get(options.frontends[0]),
        "augment": options.augmentations,
    }
    found = []
    for override in overrides:
        section, *rest = override.partition("=")[0].split(".")
        keys = used.get(section)
        if keys is None or rest[0] in keys:
            found.append(override)
    return found


def variants(network: str) -> list[dict[str, Any]]:
    """Return options of a network, by head and direction: all that a recipe takes."""
    fields = NETWORKS.get(network).model_fields
    heads = [{"head": head} for head in get_args(fields["head"].annotation)] if "head" in fields else [{}]
    directions: list[dict[str, Any]] = [{}, {"causal": True}] if "causal" in fields else [{}]
    found = []
    for options in ({**head, **direction} for head in heads for direction in directions):
        try:
            make_recipe({"model": {"name": network, **options}})
        except ConfigError:
            continue
        found.append(options)
    return found


def name_of(network: str, options: Mapping[str, Any]) -> str:
    """Return the name of a test case, such as ``crnn-attention-causal``."""
    return "-".join([network, *([options["head"]] if "head" in options else []), *["causal"] * ("causal" in options)])


def tiny_of(network: str) -> list[str]:
    """Return ``TINY`` for a network."""
    shape = ["model.raw.kernel=64", "model.raw.stride=32"] if network == "rawnet" else []
    fields = NETWORKS.get(network).model_fields
    strides = get_args(fields["time_stride"].annotation) if "time_stride" in fields else ()
    settings = [s for s in usable(network, TINY) if 4 in strides or not s.startswith("model.time_stride")]
    return [*settings, *shape]


def tiny(*overrides: str) -> Recipe:
    """Return the recipe of a run of a few steps, each some milliseconds long."""
    return load_recipe(None, [*TINY, *overrides])


def sound(label: str, number: int, seconds: float = 0.6) -> np.ndarray:
    """Return a tone with a little noise, or noise for ``other``; ``number`` moves pitch and phase."""
    rng = np.random.default_rng([number, len(label)])
    time = np.arange(round(seconds * RATE)) / RATE
    noise = 0.02 * rng.standard_normal(len(time))
    if label not in PITCHES:
        return (5 * noise).astype(np.float32)
    pitch = PITCHES[label] * (1 + 0.02 * number)
    return (0.3 * np.sin(2 * np.pi * pitch * time + number) + noise).astype(np.float32)


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder, by its path in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def write_folders(folder: Path, clips: int = 8, labels: tuple[str, ...] = ("low", "high")) -> Path:
    """Write class folders of WAV files of 0.6 s."""
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(clips):
            soundfile.write(folder / label / f"{number}.wav", sound(label, number), RATE, subtype="FLOAT")
    return folder


def in_two_folds(clips: Path, target: Path) -> Path:
    """Copy class folders and put a table with two folds beside them: half as long to train over as five."""
    shutil.copytree(clips, target)
    paths = sorted(path.relative_to(target) for path in target.rglob("*.wav"))
    rows = [f"{path.as_posix()},{path.parent.name},{1 + i % 2}" for i, path in enumerate(paths)]
    (target / "folds.csv").write_text("\n".join(["path,label,fold", *rows]) + "\n", encoding="utf-8")
    return target / "folds.csv"


class Listener(Progress):
    """Remembers what a run says; at ``step`` it does ``action``."""

    def __init__(self, step: int | None = None, action: Any = None) -> None:
        self.at, self.action = step, action
        self.notices: list[str] = []
        self.losses: list[float] = []
        self.rows: list[dict[str, float]] = []
        self.starts: list[tuple[int, int]] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def training_starts(self, total_steps: int, done_steps: int, seconds_a_step: float) -> None:
        assert seconds_a_step > 0
        self.starts.append((total_steps, done_steps))

    def step_done(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.at:
            self.action()

    def epoch_done(self, row: Mapping[str, float]) -> None:
        self.rows.append(dict(row))


def signal_at(step: int, number: int) -> Listener:
    """Return a listener that sends this process a signal after a step."""
    return Listener(step, lambda: os.kill(os.getpid(), number))


def make_loop(
    material: Material, folder: Path, *, state: State | None = None, progress: Progress | None = None, **fields: Any
) -> Loop:
    """Return a loop over all clips; its dev score is a figure of the averaged weights."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(material.recipe.seed)
    network = build_network(material.recipe, len(material.manifest.labels))
    waveform = torch.from_numpy(sound("low", 99)[None])

    def score_dev(candidate: torch.nn.Module) -> dict[str, float]:
        with torch.no_grad():
            return {"figure": candidate(waveform).clip_logits.sum().item()}

    settings: dict[str, Any] = {
        "recipe": material.recipe,
        "network": network,
        "target": material.target,
        "data": training_set(material, np.arange(len(material.manifest))),
        "reader": material.reader,
        "score_dev": score_dev,
        "folder": folder,
        "state": State() if state is None else state,
        "progress": Listener() if progress is None else progress,
    }
    return Loop(**{**settings, **fields})
