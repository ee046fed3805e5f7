# SPDX-License-Identifier: Apache-2.0
"""The built-in model ``general`` beside its teacher: time, agreement, and what it says of a hundred recordings.

    python -m benchmarks.general speed SHARED [--quick] [--model MODEL]
    python -m benchmarks.general agree SHARED [--model MODEL]
    python -m benchmarks.general tag100 SHARED [--out FILE] [--model MODEL]
    python -m benchmarks.general latency SHARED [--model MODEL]

SHARED holds ``models/mn04_as_mAP_432.pt`` with AudioSet's table beside it, and ``data/{esc10,pool,pool2}``. Six sources
of the pools were kept out of training (``KEPT``). One thread, CPU time of it, candidates in turns.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import torch

from auricle import api
from auricle.audio.decode import read_audio
from auricle.evaluation.metrics import average_precisions
from auricle.exporting.cost import count_multiply_adds
from auricle.exporting.onnx import ScoringGraph, export_onnx
from auricle.files import atomic_write
from auricle.nn.modules.efficientat import EfficientAt, load_checkpoint
from auricle.results import FloatArray
from auricle.runtime.detector import Detector
from auricle.teachers.efficientat import read_class_names
from benchmarks.folded_mel import FoldedKaldiMel
from benchmarks.machine import describe, one_thread, version
from benchmarks.models import untrained
from benchmarks.tag import ast_tagger
from benchmarks.timing import Candidate, take_turns

SECONDS = 10
CHECKPOINT, NAMES = "models/mn04_as_mAP_432.pt", "models/audioset_class_labels_indices.csv"
#: Pools, the column that names a source, and the sources that no training heard.
KEPT = {
    "pool": ("package", {"klettres-data", "ufoai-sound"}),
    "pool2": (
        "source",
        {"scikit-maad/scikit-maad", "Muges/ambientsounds", "gheja/doggy-daycare", "redeclipse/sounds"},
    ),
}
#: AudioSet's classes for those of ESC-10.
MATCHES = {
    "chainsaw": (347,), "clock_tick": (406, 407, 408), "crackling_fire": (298, 299), "crying_baby": (22, 23),
    "dog": (74, 75), "helicopter": (339,), "rain": (289, 290, 291), "rooster": (99, 101), "sea_waves": (294, 295),
    "sneezing": (49,),
}  # fmt: skip
#: The model's own latency first.
LATENCIES_S = (20.0, 8.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.0)
#: A class is there where the teacher gives it so much; average precision needs so many clips with it.
PRESENT, LEAST_CLIPS = 0.3, 5


def kept_out(shared: Path) -> list[tuple[Path, str, str]]:
    """Return file, source and original name of each recording that was kept out."""
    found = []
    for pool, (column, sources) in KEPT.items():
        folder = shared / "data" / pool
        with (folder / f"{pool}.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row[column] in sources]
        found += [(folder / row["filename"], row[column], row["path"].split(" + ")[0]) for row in rows]
    return found


def esc10(shared: Path) -> list[tuple[Path, str, str]]:
    """Return file, class and fold of each clip of ESC-10."""
    folder = shared / "data/esc10"
    with (folder / "esc10.csv").open(newline="", encoding="utf-8") as file:
        return [(folder / row["filename"], row["category"], row["fold"]) for row in csv.DictReader(file)]


# --- time


def graph_of(network: EfficientAt) -> bytes:
    """Export a teacher as the product does."""
    return export_onnx(ScoringGraph(network, "multi", negatives=False), 5 * network.spec.sample_rate)


def folded(network: EfficientAt) -> EfficientAt:
    """Give a teacher the front end that exported graphs had up to version 0.2."""
    network.frontend = FoldedKaldiMel(network.spec)  # type: ignore[assignment]
    return network.eval()


def runner(content: bytes, samples: FloatArray) -> Callable[[], object]:
    """Return a call of a graph with everything it gives, set up as the product does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"waveform": samples[None]})


def speed(shared: Path, model: str, *, quick: bool) -> dict[str, Any]:
    """Time everything in turns."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    low, high = (rng.normal(0, 0.1, SECONDS * rate).astype(np.float32) for rate in (16_000, 32_000))
    general, older = api.load(model), api.load("esc10")
    graphs = {
        "general, all outputs": (general.bundle.read("model.onnx"), low),
        "mn04, as exported up to 0.2": (graph_of(folded(load_checkpoint(shared / CHECKPOINT))), high),
        "mn04, factorised front end": (graph_of(load_checkpoint(shared / CHECKPOINT).for_export()), high),
    }
    macs = {name: count_multiply_adds(content, len(samples)) for name, (content, samples) in graphs.items()}
    weights = {name: sum(p.numel() for p in load_checkpoint(shared / CHECKPOINT).parameters()) for name in graphs}
    weights["general, all outputs"] = general.spec.provenance.parameters
    calls = {name: Candidate(runner(*pair), 3) for name, pair in graphs.items()}
    with TemporaryDirectory() as folder:
        crnn = api.load(untrained(Path(folder)))
        for name, detector in (("general", general), ("esc10", older), ("default CRNN, untrained", crnn)):
            calls[f"{name}, tag"] = Candidate(_tagging(detector, low))
            weights[f"{name}, tag"] = detector.spec.provenance.parameters
        rounds = 2 if quick else 40
        found = take_turns(calls, rounds=rounds, warm_up=2, clock=time.thread_time)
        least = {name: _least(call.call, rounds) for name, call in calls.items()}
    if version("transformers") is not None:
        tag, weights["AST base"] = ast_tagger()
        found |= take_turns({"AST base": Candidate(lambda: tag(low))}, rounds=1 if quick else 3, clock=time.thread_time)
    base = found["general, all outputs"].median_s
    rows = {
        name: {
            **timing.to_dict(),
            **({"least_s": float(f"{least[name]:.4g}")} if name in least else {}),
            "weights": weights[name],
            **({"multiply_adds": macs[name]} if name in macs else {}),
            "times_general": round(timing.median_s / base, 2),
        }
        for name, timing in found.items()
    }
    return {"seconds_of_audio": SECONDS, "rows": rows, "machine": describe()}


def _tagging(detector: Detector, samples: FloatArray) -> Callable[[], object]:
    return lambda: detector.tag(samples, 16_000)


def _least(call: Callable[[], object], times: int) -> float:
    """Return the shortest of some runs in a row: what it takes with nobody else on the core."""
    found = []
    for _ in range(times):
        start = time.thread_time()
        call()
        found.append(time.thread_time() - start)
    return min(found)


# --- agreement


def teacher_scores(shared: Path, paths: Sequence[Path]) -> FloatArray:
    """Return the teacher's scores, ``(clip, class)``."""
    network = load_checkpoint(shared / CHECKPOINT)
    rows = []
    for path in paths:
        wave = torch.from_numpy(np.array(read_audio(path, sample_rate=32_000).samples))
        with torch.inference_mode():
            rows.append(torch.sigmoid(network(wave[None]).clip_logits[0]).numpy())
    return np.stack(rows)


def student_scores(detector: Detector, names: Sequence[str], paths: Sequence[Path]) -> FloatArray:
    """Return the scores of ``tag``, ``(clip, class)``."""
    rows = []
    for path in paths:
        found = {score.label: score.score for score in detector.tag(path).scores}
        rows.append([found[name] for name in names])
    return np.array(rows, np.float32)


def agree(shared: Path, model: str) -> dict[str, Any]:
    """Compare ``tag`` with the teacher, and both with the labels of ESC-10."""
    names = read_class_names(shared / NAMES, 527)
    clips, kept = esc10(shared), kept_out(shared)
    paths = [[row[0] for row in rows] for rows in (clips, kept)]
    detector = api.load(model)
    found, found_kept = (student_scores(detector, names, p) for p in paths)
    wanted, wanted_kept = (teacher_scores(shared, p) for p in paths)
    true = np.array([list(MATCHES).index(row[1]) for row in clips])
    return {
        "esc10_zero_shot": _zero_shot(found, true),
        "esc10_zero_shot_teacher": _zero_shot(wanted, true),
        "esc10_clips": len(clips),
        **_agreement(found_kept, wanted_kept),
        "first_class_by_source": _by_source(found_kept, wanted_kept, [row[1] for row in kept]),
        "kept_clips": len(kept),
        "machine": describe(),
    }


def _zero_shot(scores: FloatArray, true: FloatArray) -> float:
    """Return the share of clips whose highest matching class is theirs."""
    best = np.stack([scores[:, list(columns)].max(1) for columns in MATCHES.values()], axis=1).argmax(1)
    return round(float((best == true).mean()), 4)


def _agreement(found: FloatArray, wanted: FloatArray) -> dict[str, float]:
    present = wanted >= PRESENT
    often = np.flatnonzero(present.sum(0) >= LEAST_CLIPS)
    precisions = [p for p in average_precisions(present[:, often], found[:, often]) if p is not None]
    first = wanted.argmax(1)
    ranks = [np.argsort(np.argsort(scores, 1), 1).astype(float) for scores in (found, wanted)]
    return {
        "map": round(float(np.mean(precisions)), 4),
        "map_classes": len(often),
        "first_class": round(float((found.argmax(1) == first).mean()), 4),
        "first_in_three": round(float((np.argsort(-found, 1)[:, :3] == first[:, None]).any(1).mean()), 4),
        "rank_correlation": round(float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)])), 4),
    }


def _by_source(found: FloatArray, wanted: FloatArray, sources: Sequence[str]) -> dict[str, float]:
    same, named = found.argmax(1) == wanted.argmax(1), np.array(sources)
    return {name: round(float(same[named == name].mean()), 2) for name in sorted(set(sources))}


# --- latency of streams


def latency(shared: Path, model: str) -> dict[str, Any]:
    """Compare decisions at shorter latencies with those of the model's own windows, on what was kept out.

    A decision is a frame of a class whose score reaches the model's threshold at either latency.
    """
    detector = api.load(model)
    rate = detector.spec.sample_rate
    thresholds = np.array([detector.spec.thresholds[label] for label in detector.labels], np.float32)
    waves = [np.array(read_audio(path, sample_rate=rate).samples) for path, _, _ in sorted(kept_out(shared))]
    seconds = sum(map(len, waves)) / rate
    rows, own = [], None
    for latency_s in LATENCIES_S:
        there = detector.with_latency(latency_s)
        start = time.thread_time()
        active = [there.frames(wave, rate).values >= thresholds for wave in waves]
        work_ms = 1000 * (time.thread_time() - start) / seconds
        own = active if own is None else own
        either = sum(int((a | b).sum()) for a, b in zip(active, own, strict=True))
        changed = sum(int((a ^ b).sum()) for a, b in zip(active, own, strict=True))
        spec = there.spec
        rows.append(
            {
                "latency_s": round(there.stream(rate).latency_s, 2),
                "stretch_s": spec.hop_s,
                "lookahead_s": spec.margin_s if spec.lookahead_s is None else spec.lookahead_s,
                "changed": round(changed / either, 4),
                "decisions": either,
                "ms_a_second": round(work_ms, 2),
                "ms_a_stretch": round(work_ms * spec.hop_s, 2),
            }
        )
    return {"rows": rows, "clips": len(waves), "minutes": round(seconds / 60, 1), "machine": describe()}


# --- a hundred recordings


def tag100(shared: Path, model: str, out: Path | None) -> dict[str, Any]:
    """List the first three classes of a hundred recordings that were kept out, with the teacher's first."""
    kept = sorted(kept_out(shared))
    chosen = [kept[index] for index in np.linspace(0, len(kept) - 1, 100).astype(int)]
    detector, names = api.load(model), read_class_names(shared / NAMES, 527)
    scores = teacher_scores(shared, [path for path, _, _ in chosen])
    lines = ["| recording | first | second | third | teacher |", "|---|---|---|---|---|"]
    for (path, source, name), wanted in zip(chosen, scores, strict=True):
        found = [f"{s.label} {s.score:.2f}" for s in detector.tag(path).scores[:3]]
        best, title = int(wanted.argmax()), name.rpartition("/")[2].rpartition("!")[2]
        lines.append(f"| {source}: {title} | {' | '.join(found)} | {names[best]} {wanted[best]:.2f} |")
    text = "\n".join(lines) + "\n"
    if out is None:
        print(text)
    else:
        atomic_write(out, text.encode())
    return {"recordings": len(chosen)}


def main() -> None:
    one_thread("benchmarks.general")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "agree", "latency", "tag100"))
    parser.add_argument("shared", type=Path)
    parser.add_argument("--model", default="general")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "speed":
        result = speed(options.shared, options.model, quick=options.quick)
    elif options.what in ("agree", "latency"):
        result = {"agree": agree, "latency": latency}[options.what](options.shared, options.model)
    else:
        result = tag100(options.shared, options.model, options.out)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
