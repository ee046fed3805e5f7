# SPDX-License-Identifier: Apache-2.0
"""``model.int8.onnx`` beside ``model.onnx``: made, compared with the original, and kept only if it is as good.

Without data, only the weights have 8 bits. With data, convolutions and matrix products compute in 8 bits too, if
that keeps the model's figure and is not slower here; else the weights alone. What costs more than the
recipe's ``export.int8_loss`` or ``export.int8_shift`` is refused. A causal model gets ``stream.int8.onnx`` too, whose
weights alone have 8 bits.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import Manifest
from auricle.errors import TrainingError, UsageError
from auricle.evaluation.evaluate import score_manifest
from auricle.evaluation.report import selection_figures
from auricle.exporting.int8 import quantise
from auricle.recipe.schema import ExportSection, make_recipe
from auricle.results import FloatArray, Int8Result
from auricle.runtime.bundle import GOLDEN, Bundle, add_files, read_golden
from auricle.runtime.detector import Detector
from auricle.runtime.model_names import BUNDLES
from auricle.runtime.onnx_session import FRAMES, Network, make_network
from auricle.runtime.spec import ONNX_FILES, STREAM_FILES, Int8Part
from auricle.runtime.windows import cut_windows

#: Windows that ranges are learnt from, spread over the data.
CALIBRATION_WINDOWS = 64
#: Runs of each graph that are timed, in turns.
TIMED_RUNS = 15
#: A graph counts as slower from here on; less is within the noise of the clock.
SLOWER = 1.05

_NAME = ONNX_FILES["int8"]


@dataclass(frozen=True)
class _Candidate:
    """A graph in 8 bits and what it is worth; ``value`` is None without data."""

    content: bytes
    arithmetic: str
    shift: float
    milliseconds: float
    value: float | None


class _Original:
    """The model in float32, with all that a smaller form is compared with."""

    def __init__(self, bundle: Bundle, manifest: Manifest | None) -> None:
        self.bundle = bundle
        self.manifest = manifest
        self.limits = limits_of(bundle)
        self.content = bundle.read(ONNX_FILES["float32"])
        self.network = make_network(self.content, bundle.spec, str(bundle.path / ONNX_FILES["float32"]))
        self.test_windows = _test_windows(bundle)
        self.windows = [] if manifest is None else _calibration_windows(bundle, manifest)
        self.metric, self.value = self.figure(self.network)

    def figure(self, network: Network) -> tuple[str, float | None]:
        """Return the name and the value of the figure on the data; no name and None without data."""
        if self.manifest is None:
            return "", None
        scores = score_manifest(Detector(self.bundle, network), self.manifest)
        figures = selection_figures(scores, self.manifest.targets(), self.bundle.spec.task)
        name, value = next(iter(figures.items()))
        return name, value

    def judge(self, arithmetic: str) -> tuple[_Candidate, float]:
        """Make the graph with this arithmetic; returns it, and the milliseconds of the original beside it."""
        content = quantise(self.content, self.windows if arithmetic == "int8" else ())
        network = make_network(content, self.bundle.spec, f"{self.bundle.path / _NAME}")
        before, after = _milliseconds((self.network, network), self.test_windows[0])
        shift = max(_shift(self.network, network, window) for window in self.test_windows)
        return _Candidate(content, arithmetic, shift, after, self.figure(network)[1]), before

    def problems(self, found: _Candidate) -> list[str]:
        """Say what a candidate costs too much of."""
        problems = []
        if self.value is not None and found.value is not None and found.value < self.value - self.limits.int8_loss:
            loss = self.value - found.value
            problems.append(f"{self.metric} falls by {loss:.2g} (allowed: {self.limits.int8_loss:g}, export.int8_loss)")
        if found.shift > self.limits.int8_shift:
            limit = f"allowed: {self.limits.int8_shift:g}, export.int8_shift"
            problems.append(f"a score of the test input moves by {found.shift:.2g} ({limit})")
        return problems


def export_int8(bundle: Bundle, manifest: Manifest | None = None) -> Int8Result:
    """Write ``model.int8.onnx`` into a model folder, and its hash into ``auricle.json``.

    Args:
        bundle: the model; not one that came with auricle.
        manifest: labelled clips that ranges are learnt from and that both forms are measured on.

    Raises:
        UsageError: a built-in model.
        TrainingError: 8 bits cost more than the recipe allows; nothing was written.
    """
    if bundle.path.resolve().is_relative_to(BUNDLES):
        raise UsageError(
            f"{bundle.spec.name} came with auricle and stays as it is; copy it first: cp -r {bundle.path} my-model"
        )
    original = _Original(bundle, manifest)
    note = ""
    if original.windows:
        found, before = original.judge("int8")
        reasons = original.problems(found)
        if not reasons and found.milliseconds > SLOWER * before:
            reasons = [f"{found.milliseconds:.3g} ms a window instead of {before:.3g}"]
        note = f"8-bit arithmetic was not used: {'; '.join(reasons)}" if reasons else ""
    if not original.windows or note:
        found, before = original.judge("float")
    problems = original.problems(found)
    if problems:
        raise TrainingError(f"no 8-bit form of {bundle.path} was written: {'; '.join(problems)}")
    _write(original, found)
    return Int8Result(
        path=str(bundle.path),
        float32_bytes=len(original.content),
        int8_bytes=len(found.content),
        arithmetic=found.arithmetic,
        shift=found.shift,
        float32_ms=before,
        int8_ms=found.milliseconds,
        metric=original.metric,
        float32=original.value,
        int8=found.value,
        clips=0 if manifest is None else len(manifest),
        note=note,
    )


def limits_of(bundle: Bundle) -> ExportSection:
    """Return what the recipe of a model allows 8 bits to cost; the defaults where it has none."""
    return make_recipe({"export": bundle.spec.provenance.recipe.get("export", {})}).export


def _write(original: _Original, found: _Candidate) -> None:
    manifest = original.manifest
    part = Int8Part(
        arithmetic="int8" if found.arithmetic == "int8" else "float",
        shift=found.shift,
        shift_limit=original.limits.int8_shift,
        metric=original.metric,
        float32=original.value,
        int8=found.value,
        clips=0 if manifest is None else len(manifest),
        data_hash="" if manifest is None else manifest.data_hash,
    )
    files = {_NAME: found.content}
    if STREAM_FILES["float32"] in original.bundle:  # its weights are those of the model; ranges need no recordings
        files[STREAM_FILES["int8"]] = quantise(original.bundle.read(STREAM_FILES["float32"]))
    add_files(original.bundle.path, files, original.bundle.spec.model_copy(update={"int8": part}))


def _test_windows(bundle: Bundle) -> list[FloatArray]:
    """Return the stored input, if the model has one, and noise; each ``(1, sample)``."""
    rng = np.random.default_rng(0)
    windows = [(0.1 * rng.standard_normal((1, bundle.spec.window_samples))).astype(np.float32)]
    if GOLDEN in bundle:
        windows.append(np.atleast_2d(np.asarray(read_golden(bundle)["waveform"], np.float32)))
    return windows


def _calibration_windows(bundle: Bundle, manifest: Manifest) -> list[FloatArray]:
    """Return the first window of clips spread evenly over the data, each ``(sample,)``."""
    spec = bundle.spec
    count = min(CALIBRATION_WINDOWS, len(manifest))
    clips = [manifest.clips[i * len(manifest) // count] for i in range(count)]
    audios = (read_clip(clip, manifest.arrays, sample_rate=spec.sample_rate).samples for clip in clips)
    return [
        cut_windows(samples, spec.window_samples, spec.hop_samples, spec.pad, spec.slack_samples)[0]
        for samples in audios
    ]


def _shift(before: Network, after: Network, window: FloatArray) -> float:
    """Return the largest change of a clip or frame score."""
    wanted = frozenset({FRAMES} & before.outputs)
    a, b = before.run(window, wanted), after.run(window, wanted)
    shift = float(np.abs(a.clip - b.clip).max())
    if a.frames is not None and b.frames is not None:
        shift = max(shift, float(np.abs(a.frames - b.frames).max(initial=0.0)))
    return shift


def _milliseconds(networks: Sequence[Network], window: FloatArray) -> list[float]:
    """Return the median time of one window in each network: of this thread's processor, so that others do not count."""
    times: list[list[float]] = [[] for _ in networks]
    for _ in range(TIMED_RUNS):
        for network, found in zip(networks, times, strict=True):
            start = time.thread_time()
            network.run(window)
            found.append(1000 * (time.thread_time() - start))
    return [statistics.median(found) for found in times]
