# SPDX-License-Identifier: Apache-2.0
"""How fast a recipe trains here: the very loop of training, run for a few steps and timed by phase.

Arithmetic is counted by PyTorch's own counter on a short piece of the crop and scaled by length (all layers but
the last work along time), and set beside what matrix products of the same kind of number reach on this machine.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from auricle.errors import DataError
from auricle.nn.losses import clip_losses, total_loss
from auricle.nn.networks import Network, build_network
from auricle.progress import Progress
from auricle.recipe.requests import DataSource
from auricle.recipe.schema import Recipe, with_values
from auricle.timeline import seconds_to_samples
from auricle.training.checkpoint import State
from auricle.training.devices import fabric_precision
from auricle.training.loop import SLOW_STEP_S, Loop
from auricle.training.phases import Phases
from auricle.training.preparation import Material, prepare_run, training_set

#: What a step consists of, in its order.
STEP_PHASES = ("data", "forward", "backward", "optimiser")
#: Sides of the square matrices by which the peak is measured: from the first they double until a product takes
#: ``PEAK_PRODUCT_S``, which is then repeated for ``PEAK_REPEAT_S``. Without units for bf16 small ones take that long.
PEAK_SIZES = (128, 256, 512, 1_024, 2_048, 4_096)
PEAK_PRODUCT_S, PEAK_REPEAT_S = 0.1, 0.5
#: Arithmetic is counted on a crop this many times shorter, where the network takes any length.
COUNT_SHARE = 8


@dataclass(frozen=True)
class TrainSpeed:
    """What one recipe does in one set-up.

    Attributes:
        name: of the recipe.
        network: by name.
        parameters: that are trained.
        precision: Fabric's name of the arithmetic.
        batch_size: crops a step.
        clip_s: length of a crop in seconds.
        steps: that were timed.
        step_s: median seconds a step; ``low_s`` and ``high_s`` are the fastest and the slowest.
        shares: of the time of all timed steps, by phase.
        gflop: arithmetic a step, forwards and backwards, in 1e9 operations.
        peak_share: arithmetic a second, as a share of the machine's peak in this precision.
    """

    name: str
    network: str
    parameters: int
    precision: str
    batch_size: int
    clip_s: float
    steps: int
    step_s: float
    low_s: float
    high_s: float
    shares: Mapping[str, float]
    gflop: float
    peak_share: float

    @property
    def clips_a_second(self) -> float:
        """Crops that a second trains."""
        return self.batch_size / self.step_s

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, numbers with four significant digits."""
        values = {**asdict(self), "clips_a_second": self.clips_a_second}
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in values.items()}
        return {**rounded, "shares": {k: float(f"{v:.3g}") for k, v in self.shares.items()}}


@dataclass(frozen=True)
class TrainingBench:
    """Several measurements on one machine.

    Attributes:
        runs: one a recipe, batch size and precision.
        peaks: GFLOP/s of matrix products by Fabric's name of each precision that a run used.
        threads: of the CPU.
        load: of the machine before the first run: processes that wanted to run, over the last minute.
    """

    runs: tuple[TrainSpeed, ...]
    peaks: Mapping[str, float]
    threads: int
    load: float

    def to_dict(self, epoch_clips: int) -> dict[str, Any]:
        """Return the JSON object; ``epoch_clips`` clips make the epoch whose time is said."""
        slowest = max(run.step_s / run.batch_size for run in self.runs)
        runs = []
        for run in self.runs:
            more = {"ratio": slowest * run.clips_a_second, "epoch_s": epoch_clips / run.clips_a_second}
            runs.append({**run.to_dict(), **{k: float(f"{v:.4g}") for k, v in more.items()}})
        peaks = {name: float(f"{value:.4g}") for name, value in self.peaks.items()}
        return {"threads": self.threads, "load": self.load, "peaks": peaks, "epoch_clips": epoch_clips, "runs": runs}


class _Watch(Progress):
    """Notes the seconds of each phase of each step."""

    def __init__(self) -> None:
        self.phases = Phases()
        self.steps: list[dict[str, float]] = []

    def step_done(self, step: int, loss: float) -> None:
        self.steps.append({name: self.phases.seconds.pop(name, 0.0) for name in STEP_PHASES})


def measure_peak(precision: str, device: str = "cpu") -> float:
    """Return the GFLOP/s that products of large matrices reach on a device, in Fabric's ``precision``."""
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    speeds = [0.0]
    for size in PEAK_SIZES:
        a, b = (torch.randn(size, size).to(device, dtype) for _ in range(2))
        took_s = _product_s(a, b)
        speeds.append(2 * size**3 / took_s / 1e9)
        if took_s >= PEAK_PRODUCT_S:
            break
    end = time.perf_counter() + PEAK_REPEAT_S
    while time.perf_counter() < end:
        speeds.append(2 * size**3 / _product_s(a, b) / 1e9)
    return max(speeds)


def _product_s(a: Tensor, b: Tensor) -> float:
    """Return how long a matrix product takes."""
    start = time.perf_counter()
    torch.mm(a, b)
    if a.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def count_gflop(network: Network, recipe: Recipe, labels: int) -> float:
    """Return the arithmetic of one step, forwards and backwards, in 1e9 operations."""
    samples = seconds_to_samples(recipe.data.clip_s, recipe.frontend.sample_rate)
    piece = samples if network.fixed_length is not None else max(network.min_samples, samples // COUNT_SHARE)
    targets = torch.eye(2, labels)
    with FlopCounterMode(display=False) as counter:
        output = network.train()(torch.randn(2, piece))
        parts = clip_losses(output, targets, torch.ones(2), task="single", negatives=False)
        torch.autograd.backward(total_loss(parts))
    network.zero_grad()
    return float(counter.get_total_flops()) / 2 * recipe.data.batch_size * samples / piece / 1e9


def bench_recipes(
    recipes: Mapping[str, Recipe],
    *,
    data: DataSource | None,
    batch_sizes: Sequence[int] | None,
    precisions: Sequence[str] | None,
    steps: int,
    warm_up: int,
    notice: Callable[[str], None],
) -> TrainingBench:
    """Time recipes one after the other, each in all batch sizes and precisions; see ``api.bench_train``."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    for recipe in recipes.values():
        if recipe.run.threads is not None:
            torch.set_num_threads(recipe.run.threads)
    used = {fabric_precision(kind, r.run.device) for r in recipes.values() for kind in precisions or [r.run.precision]}
    cuda = torch.cuda.is_available() and any(recipe.run.device != "cpu" for recipe in recipes.values())
    peaks: dict[str, float] = {name: measure_peak(name, "cuda" if cuda else "cpu") for name in sorted(used)}
    runs: list[TrainSpeed] = []
    for name, recipe in recipes.items():
        sizes = [recipe.data.batch_size] if batch_sizes is None else batch_sizes
        kinds = [recipe.run.precision] if precisions is None else precisions
        for kind, size in itertools.product(kinds, sizes):
            if size != sizes[0] and runs[-1].step_s > SLOW_STEP_S:
                notice(f"{name}: {runs[-1].step_s:.1f} s a step, so no other batch size is tried")
                break
            notice(f"{name}: batches of {size}, {kind} ...")
            measured = with_values(recipe, {"data.batch_size": size, "run.precision": kind})
            runs.append(bench_training(name, measured, data=data, steps=steps, warm_up=warm_up, peaks=peaks))
    return TrainingBench(tuple(runs), peaks, torch.get_num_threads(), load)


def write_noise(folder: Path, clips: int, seconds: float, sample_rate: int) -> Path:
    """Write two class folders of noise: the time of a step does not depend on the data."""
    rng = np.random.default_rng(0)
    for number in range(clips):
        place = folder / ("bonafide" if number % 2 else "spoof")
        place.mkdir(parents=True, exist_ok=True)
        noise = 0.1 * rng.standard_normal(seconds_to_samples(seconds, sample_rate)).clip(-9, 9)
        soundfile.write(place / f"{number}.wav", noise, sample_rate, subtype="PCM_16")
    return folder


def _run(material: Material, folder: Path, steps: int) -> _Watch:
    """Train for some steps on a new network; returns their times."""
    size = material.recipe.data.batch_size
    if len(material.manifest) < size:
        problem = f"{len(material.manifest)} clips do not fill a batch of {size}; lower --batch-size"
        raise DataError(f"{material.manifest.root} is too small to measure this", [problem])
    epoch = steps if len(material.manifest) >= size * steps else 1
    never = {"run.early_stop": None, "run.checkpoint_every_s": 1e9, "run.checkpoint_every_steps": None}
    recipe = with_values(material.recipe, {"optim.epochs": steps // epoch, **never})
    folder.mkdir()
    torch.manual_seed(recipe.seed)
    watch = _Watch()
    loop = Loop(
        recipe=recipe,
        network=build_network(recipe, len(material.manifest.labels)),
        target=material.target,
        data=training_set(material, np.arange(epoch * size)),
        reader=material.reader,
        score_dev=None,
        folder=folder,
        state=State(),
        progress=watch,
        phases=watch.phases,
    )
    loop.fit()
    return watch


def bench_training(
    name: str,
    recipe: Recipe,
    *,
    data: DataSource | None,
    steps: int,
    warm_up: int,
    peaks: Mapping[str, float],
) -> TrainSpeed:
    """Run a recipe for a few steps and say what they took.

    Args:
        name: of the recipe.
        recipe: as for training; its ``data.batch_size`` and ``data.clip_s`` count.
        data: a data set; None takes noise.
        steps: to time.
        warm_up: steps before them.
        peaks: GFLOP/s of the machine by Fabric's name of the precision.

    Raises:
        DataError: fewer clips than a batch.
    """
    with tempfile.TemporaryDirectory(prefix="auricle-bench-") as temporary:
        folder = Path(temporary)
        if data is None:
            d = recipe.data
            noise = write_noise(folder / "noise", 2 * d.batch_size, d.clip_s, recipe.frontend.sample_rate)
            data = DataSource(noise)
        material = prepare_run(data, recipe, Progress(), cache_folder=folder / "cache").material
        watch = _run(material, folder / "run", steps + warm_up)
    times = [sum(step.values()) for step in watch.steps[warm_up:]]
    recipe = material.recipe
    labels = len(material.manifest.labels)
    network = build_network(recipe, labels)
    gflop = count_gflop(network, recipe, labels)
    precision = fabric_precision(recipe.run.precision, recipe.run.device)
    step_s = statistics.median(times)
    return TrainSpeed(
        name=name,
        network=recipe.model.name,
        parameters=sum(p.numel() for p in network.parameters()),
        precision=precision,
        batch_size=recipe.data.batch_size,
        clip_s=recipe.data.clip_s,
        steps=len(times),
        step_s=step_s,
        low_s=min(times),
        high_s=max(times),
        shares={p: sum(step[p] for step in watch.steps[warm_up:]) / sum(times) for p in STEP_PHASES},
        gflop=gflop,
        peak_share=gflop / step_s / peaks[precision],
    )
