# SPDX-License-Identifier: Apache-2.0
"""Live streams of a causal model, and of ``general``: what 100 ms of sound cost, and how many streams one core carries.

One process, one thread. ``alone`` is one stream that gets chunk after chunk. ``together`` is N streams, each with a
state of its own, that bring a chunk every 100 ms at times spread evenly, and have begun at different times. A chunk's
latency is the time from its arrival to its scores and events; N streams are carried if 99 % of all chunks take 100 ms
at most. The queue is computed: each chunk takes the processor time that was measured for it, so what else the machine
does only enters by its caches.

    python -m benchmarks.stream [--model MODEL] [--quick]

Figures go to docs/results/stream.json and docs/results/stream.md; with --quick nothing is written. Without --model an
untrained causal CRNN of the default shape is made: speed does not depend on what the weights have learnt. Nothing
happens in the sound; a label that continues costs some microseconds more a chunk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from auricle.files import atomic_write, write_json
from auricle.runtime.detector import Detector, load
from benchmarks.machine import describe, one_thread
from benchmarks.models import arguments, untrained
from benchmarks.page import RESULTS, machine_line, table

CHUNK_S = 0.1
LIMIT_MS = 100.0
COUNTS = (50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 800)
#: Latencies of the built-in model that are measured.
GENERAL_S = (4.0, 2.0)
MANY = ("streams", "p50, ms", "p99, ms", "core busy, %", "p99 within 100 ms")
#: Streams begin at so many different times.
WARM_CHUNKS = 64
#: What an untrained model says of noise lies near a half: with this threshold nothing happens, as mostly in life.
QUIET = 0.95


@contextmanager
def causal_model(name: str | None) -> Iterator[str]:
    """Give the model to measure."""
    if name is not None:
        yield name
        return
    with TemporaryDirectory() as folder:
        yield str(untrained(Path(folder), "model.causal=true"))


def noise(rate: int, seconds: float) -> np.ndarray:
    """Return chunks of faint noise, ``(chunk, sample)``."""
    rng = np.random.default_rng(0)
    chunk = round(CHUNK_S * rate)
    return (0.05 * rng.standard_normal((round(seconds / CHUNK_S), chunk))).astype(np.float32)


def alone(detector: Detector, rate: int, seconds: float) -> dict[str, float]:
    """Push one chunk after the other into one stream; returns milliseconds of the processor a chunk."""
    stream = detector.stream(rate, threshold=QUIET)
    times = []
    for chunk in noise(rate, seconds):
        start = time.thread_time()
        stream.push(chunk)
        times.append(1000 * (time.thread_time() - start))
    times = times[len(times) // 10 :]  # the first ones warm up
    p50, p99 = np.percentile(times, [50, 99])
    return {"rate": rate, "p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3), "n": len(times)}


def together(detector: Detector, count: int, seconds: float, warm_s: float) -> dict[str, float]:
    """Serve ``count`` streams; returns the latency of their chunks and how busy the core was."""
    rate = detector.spec.sample_rate
    chunks = noise(rate, 2.0)
    streams = [detector.stream(rate, threshold=QUIET) for _ in range(count)]
    for number, stream in enumerate(streams):  # the first windows of each, and some chunks of the next one
        for k in range(round(warm_s / CHUNK_S) + number % WARM_CHUNKS):
            stream.push(chunks[k % len(chunks)])
    latencies, busy, free = [], 0.0, 0.0
    for served in range(round(count * seconds / CHUNK_S)):
        # Chunk k arrives at k * CHUNK_S / count, and belongs to stream k modulo count.
        arrival = served * CHUNK_S / count
        start = time.thread_time()
        streams[served % count].push(chunks[served % len(chunks)])
        cost = time.thread_time() - start
        busy += cost
        free = max(free, arrival) + cost
        latencies.append(1000 * (free - arrival))
        if latencies[-1] > 50 * LIMIT_MS:  # hopeless: it falls behind for ever
            break
    p50, p99 = np.percentile(latencies, [50, 99])
    return {
        "streams": count,
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "busy": round(busy / free, 3),
        "carried": bool(p99 <= LIMIT_MS),
    }


def climb(
    detector: Detector, seconds: float, counts: tuple[int, ...], warm_s: float = CHUNK_S
) -> list[dict[str, float]]:
    """Return rows of more and more streams, until they are not carried."""
    steps: list[dict[str, float]] = []
    for count in counts:
        steps.append(together(detector, count, seconds, warm_s))
        if not steps[-1]["carried"]:
            break
    return steps


def of_general(latency_s: float, *, quick: bool) -> dict[str, Any]:
    """Return the rows of the built-in model at a latency."""
    detector = load("general").with_latency(latency_s)
    spec = detector.spec
    steps = climb(detector, 2.0 if quick else 6.4, (50,) if quick else COUNTS, spec.window_s)
    return {"latency_s": detector.stream(spec.sample_rate).latency_s, "stretch_s": spec.hop_s, "together": steps}


def measure(model: str, *, quick: bool) -> dict[str, Any]:
    """Return all figures: more and more streams, until they are not carried."""
    detector = load(model).with_postprocess(medians_s={})
    spec = detector.spec
    seconds = 2.0 if quick else 10.0
    rates = [spec.sample_rate, 44_100, 48_000]
    rows = [alone(detector, rate, 3 * seconds) for rate in rates]
    steps = climb(detector, seconds, (50, 100) if quick else COUNTS)
    general = [of_general(latency_s, quick=quick) for latency_s in GENERAL_S]
    facts = {
        "parameters": spec.provenance.parameters,
        "step_ms": 1000 * spec.grid.step_s(spec.sample_rate),
        "latency_s": detector.stream(spec.sample_rate).latency_s,
        "state_bytes": 4 * getattr(detector.network.running, "state_size", 0),
    }
    return {"alone": rows, "together": steps, "general": general, "seconds": seconds, **facts, "machine": describe()}


def many_rows(steps: list[dict[str, float]]) -> list[tuple[str, ...]]:
    """Return the cells of rows of many streams."""
    return [
        (
            str(r["streams"]),
            f"{r['p50_ms']:g}",
            f"{r['p99_ms']:g}",
            f"{100 * r['busy']:.0f}",
            "yes" if r["carried"] else "no",
        )
        for r in steps
    ]


def page(found: dict[str, Any]) -> str:
    """Return docs/results/stream.md."""
    one = [(f"{r['rate']} Hz", f"{r['p50_ms']:g}", f"{r['p99_ms']:g}", str(r["n"])) for r in found["alone"]]
    many = many_rows(found["together"])
    most = max((r["streams"] for r in found["together"] if r["carried"]), default=0)
    return (
        "<!-- Written by benchmarks/stream.py: measure again, do not edit. -->\n\n# Live streams\n\n"
        f"A causal CRNN of the default shape ({found['parameters'] / 1e6:.2f} M weights, a frame every "
        f"{found['step_ms']:g} ms), from samples to scores and events, one thread. The latency of "
        f"events is up to {found['latency_s']:.2f} s, from the model's smoothing and shortest event. A stream's "
        f"network state has {found['state_bytes'] / 1000:.1f} kB.\n\n"
        f"## One stream: milliseconds of the processor a chunk of 100 ms\n\n"
        f"{table(('sound at', 'p50', 'p99', 'chunks'), one)}\n## Many streams on one core\n\n"
        f"Each brings a chunk every 100 ms for {found['seconds']:g} s, at times spread evenly. The queue is computed "
        f"of the processor time of each chunk. Nothing happens in the sound, as mostly in life; all labels have the "
        f"same filter (each filter of another length costs more). "
        f"Latency is from a chunk's arrival to its results.\n\n"
        f"{table(MANY, many)}\n"
        f"One core carries {most} streams in real time.\n\n"
        + "".join(
            f"## `general`, {g['latency_s']:.2f} s late\n\n527 classes, a window every {g['stretch_s']:g} s "
            f"([what the latency changes](general.md#streams)).\n\n"
            f"{table(MANY, many_rows(g['together']))}\n"
            for g in found["general"]
        )
        + f"{machine_line(found['machine'])}\n"
    )


def main() -> None:
    one_thread("benchmarks.stream")
    options = arguments(__doc__)
    with causal_model(options.model) as model:
        found = measure(model, quick=options.quick)
    print(json.dumps(found))
    if not options.quick:
        write_json(RESULTS / "stream.json", found)
        atomic_write(RESULTS / "stream.md", page(found).encode())


if __name__ == "__main__":
    main()
