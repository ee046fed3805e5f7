# SPDX-License-Identifier: Apache-2.0
"""Speed of training: now, at an earlier commit, and for a network that nobody thought about.

The careless CRNN is what a first draft often looks like: two 3 x 3 convolutions of 32 and 64 channels at the full
resolution of the log-mel, and only then pooling; 1.05 million parameters. It is registered in this benchmark alone.

    git worktree add /tmp/before COMMIT
    python -m experiments.careless [--before /tmp/before] [--rounds 2] [--clock wall] [--only NAME ...] [--out FILE]

All candidates take turns, each in a process of its own, and train on noise by the very loop of ``auricle train``.
bf16 is measured where the processor has units for it. On a busy machine take ``--clock processor --threads 1``: the
time that the training process computed, which other processes disturb less. Rounds are added to those in FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from auricle.nn.frontends.logmel import LogMel, LogMelSpec
from auricle.nn.heads import HEADS
from auricle.nn.network import Network, NetworkOutput
from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.recipe.schema import FrontendSection, Recipe
from auricle.timeline import Layer, frame_grid, seconds_to_samples
from auricle.training import bench
from auricle.training.bench import bench_training, measure_peak
from auricle.training.devices import fabric_precision, has_bf16_units
from auricle.training.phases import Phases
from auricle.training.request_recipe import make_request_recipe
from benchmarks.machine import ROOT, describe

CHANNELS = (32, 64)
MEL_POOL, FRAME_S = 4, 0.04
HIDDEN = 146
#: The front end that such networks come with: 25 ms every 10 ms. ``careless_20ms`` has that of our default.
OFTEN = ("frontend.window_ms=25", "frontend.hop_ms=10")
#: Of `rawnet`, so that trees with other defaults measure the same network.
SHAPE = ("model.raw.channels=[64,64,128]", "model.raw.hidden=64")
#: (tree, name, network, settings, share of the steps)
CANDIDATES = (
    ("now", "crnn", "crnn", (), 1.0),
    ("now", "rawnet", "rawnet", SHAPE, 1.0),
    ("now", "careless", "careless", OFTEN, 0.3),
    ("now", "careless_20ms", "careless", (), 0.3),
)


class Careless(Network):
    """Log-mel, two convolutions at full resolution, one pooling, a wide GRU, attention."""

    def __init__(self, spec: LogMelSpec, labels: int, clip_samples: int) -> None:
        super().__init__()
        self.frontend = LogMel(spec)
        self.norm = nn.BatchNorm1d(spec.n_mels)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((1, *CHANNELS), CHANNELS, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        time_pool = round(FRAME_S * spec.sample_rate / spec.hop_samples)
        self.blocks = nn.Sequential(*layers, nn.MaxPool2d((MEL_POOL, time_pool)))
        self.gru = nn.GRU(CHANNELS[-1] * spec.n_mels // MEL_POOL, HIDDEN, batch_first=True, bidirectional=True)
        self.embedding_size = 2 * HIDDEN
        self.grid = frame_grid([spec.layer(), Layer(3, 1, 1), Layer(3, 1, 1), Layer(time_pool, time_pool)])
        self.head = HEADS.get("attention")(2 * HIDDEN, labels, clip_samples // self.grid.hop_samples)
        self.has_frames = True

    def features(self, waveform: Tensor) -> Tensor:
        return torch.as_tensor(self.frontend(waveform))

    def classify(self, features: Tensor) -> NetworkOutput:
        x = self.blocks(self.norm(features)[:, None]).permute(0, 3, 1, 2).flatten(2)
        with torch.autocast(x.device.type, enabled=False):  # as in our default
            states, _ = self.gru(x.float())
            clip_logits, frame_logits = self.head(states)
        return NetworkOutput(clip_logits, frame_logits, states.mean(1))


class CarelessOptions(NetworkOptions):
    """What a recipe can say of it."""

    name: Literal["careless"] = "careless"
    head: Literal["attention"] = "attention"
    width: float = 1.0
    time_stride: int = 2

    def hop_samples(self, frontend: FrontendSection) -> int:
        return seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate) * self.time_stride

    def build(self, recipe: Recipe, labels: int) -> Careless:
        spec = LogMelSpec.of(recipe.frontend)
        return Careless(spec, labels, seconds_to_samples(recipe.data.clip_s, recipe.frontend.sample_rate))


def register() -> None:
    """Make the network known under its name, in this process."""
    NETWORKS.add("careless", CarelessOptions)


def measure(
    network: str, name: str, settings: list[str], steps: int, warm_up: int, threads: int, clock: str
) -> dict[str, Any]:
    """Time one candidate in this process."""
    register()
    if clock == "processor":
        bench.Phases = partial(Phases, time.process_time)
        bench.time = SimpleNamespace(perf_counter=time.process_time)  # of the peak
    torch.set_num_threads(threads)
    recipe = make_request_recipe(network, None, [*settings, f"run.threads={threads}"], None)
    precision = fabric_precision(recipe.run.precision, recipe.run.device)
    peaks = {precision: measure_peak(precision)}
    options = {"data": None, "peaks": peaks}
    return bench_training(name, recipe, steps=steps, warm_up=warm_up, **options).to_dict()


def run(tree: Path, candidate: tuple[Any, ...], options: argparse.Namespace, precision: str) -> dict[str, Any]:
    """Time one candidate in a process of its own, with the auricle of ``tree``."""
    _, name, network, settings, share = candidate
    steps = max(1, round(options.steps * share))
    words = [network, name, str(steps), str(max(1, round(3 * share))), str(options.threads)]
    words.append(options.clock)
    command = [sys.executable, "-m", "experiments.careless", "--measure", *words]
    command += [*settings, f"run.precision={precision}"]
    environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}:{ROOT}", "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def joined(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one line for several rounds: the median of their medians, and the fastest and slowest step of all."""
    step_s = statistics.median(r["step_s"] for r in rounds)
    return {
        **rounds[0],
        "rounds": len(rounds),
        "step_s": step_s,
        "low_s": min(r["low_s"] for r in rounds),
        "high_s": max(r["high_s"] for r in rounds),
        "clips_a_second": round(rounds[0]["batch_size"] / step_s, 2),
        "gflop_a_second": round(rounds[0]["gflop"] / step_s, 1),
        "peak_share": round(statistics.median(r["peak_share"] for r in rounds), 3),
        "shares": {k: round(statistics.median(r["shares"][k] for r in rounds), 3) for k in rounds[0]["shares"]},
    }


def table(lines: dict[str, dict[str, Any]]) -> str:
    """Return the lines as a table in Markdown."""
    phases = list(next(iter(lines.values()))["shares"])
    heads = ["candidate", "weights", "batch", "s a step (fastest to slowest)", "clips/s", *phases, "GFLOP/s", "of peak"]
    rows = [
        [
            name,
            f"{x['parameters']:,}",
            x["batch_size"],
            f"{x['step_s']:.3g} ({x['low_s']:.3g} to {x['high_s']:.3g})",
            f"{x['clips_a_second']:.3g}",
            *(f"{x['shares'][p]:.1%}" for p in phases),
            f"{x['gflop_a_second']:.3g}",
            f"{x['peak_share']:.0%}",
        ]
        for name, x in lines.items()
    ]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [heads, ["---"] * len(heads), *rows])


def _keep(options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> None:
    """Write what was measured so far."""
    if options.out is not None:
        facts = {"machine": describe(), "threads": options.threads, "clock": options.clock, "rounds": found}
        options.out.write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        network, name, steps, warm_up, threads, clock, *settings = sys.argv[2:]
        print(json.dumps(measure(network, name, settings, int(steps), int(warm_up), int(threads), clock)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout of an earlier commit")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="candidates to measure; all if none is named")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--out", type=Path, help="figures, as JSON")
    options = parser.parse_args()
    trees = {"now": ROOT, **({} if options.before is None else {"before": options.before.resolve()})}
    candidates = [*(("before", *c[1:]) for c in CANDIDATES[:2] if "before" in trees), *CANDIDATES]
    candidates = [c for c in candidates if options.only is None or c[1] in options.only]
    precisions = ["float32", *(["bf16"] if has_bf16_units("cpu") else [])]
    there = options.out is not None and options.out.exists()
    found: dict[str, list[dict[str, Any]]] = json.loads(options.out.read_text())["rounds"] if there else {}
    for _ in range(options.rounds):
        for candidate in candidates:
            for precision in precisions:
                name = f"{candidate[1]} {precision}, {candidate[0]}"
                print(f"{name} ...", file=sys.stderr, flush=True)
                found.setdefault(name, []).append(run(trees[candidate[0]], candidate, options, precision))
                _keep(options, found)
    lines = {name: joined(rounds) for name, rounds in found.items()}
    print(table(lines))


if __name__ == "__main__":
    main()
