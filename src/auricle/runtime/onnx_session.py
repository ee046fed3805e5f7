# SPDX-License-Identifier: Apache-2.0
"""The network of a bundle in ONNX Runtime: windows in, scores out. The engine is imported when it is first needed.

The engine computes all outputs of a graph, whichever are asked for. Where scores of frames are a good part of the work,
what needs none (``tag``, ``embed``) has a session of its own, without them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from auricle.errors import BundleError, InputError, UsageError
from auricle.results import FloatArray
from auricle.runtime.bundle import Bundle
from auricle.runtime.devices import BATCH, PROVIDERS, choose_device, require_device
from auricle.runtime.onnx_graph import graph_of, graph_outputs, only_outputs
from auricle.runtime.spec import ONNX_FILES, STREAM_FILES, BundleSpec
from auricle.runtime.streaming import RunningNetwork, RunningSession, numbers, probabilities

INPUT = "waveform"
CLIP, FRAMES, EMBEDDING = "clip", "frames", "embedding"
#: Outputs of the session that gives no scores of frames, and the share of the graph's nodes that it may have at most.
_LEAN_OUTPUTS, _LEAN_SHARE = frozenset({CLIP, EMBEDDING}), 0.9


@dataclass(frozen=True)
class Outputs:
    """What the network says about a batch of windows.

    Attributes:
        clip: shape ``(batch, label)``, probabilities.
        frames: shape ``(batch, frame, label)``, or None if not asked for.
        embedding: shape ``(batch, dimension)``, or None if not asked for.
    """

    clip: FloatArray
    frames: FloatArray | None = None
    embedding: FloatArray | None = None

    def row(self, index: int) -> Outputs:
        """Return what is said of one window, as a batch of one."""
        at = slice(index, index + 1)
        frames, embedding = self.frames, self.embedding
        return Outputs(
            self.clip[at], None if frames is None else frames[at], None if embedding is None else embedding[at]
        )


class WindowNetwork(Protocol):
    """Whatever turns windows into scores: a network of this process, or one of another."""

    @property
    def running(self) -> RunningNetwork | None:
        """The same network for streams, if it is causal."""
        ...

    def run(self, windows: FloatArray, wanted: frozenset[str] = frozenset()) -> Outputs:
        """Score windows of shape ``(batch, sample)``; ``wanted`` names outputs beside ``clip``."""
        ...


class Network:
    """A session with the checks that a stranger's graph needs. It keeps no state: threads may share it.

    Attributes:
        outputs: names of what it can be asked for.
        running: the same network for streams, if it is causal.
        device: that computes it, a key of ``devices.PROVIDERS``.
        batch: windows that it is best given at once.
    """

    def __init__(
        self,
        session: GraphSession,
        spec: BundleSpec,
        name: str,
        running: RunningNetwork | None = None,
        device: str = "cpu",
    ) -> None:
        self._session = session
        self.device = device
        self.batch = 1 if device == "cpu" else BATCH
        self._spec = spec
        self._name = name
        self.running = running
        self.outputs = session.outputs

    def run(self, windows: FloatArray, wanted: frozenset[str] = frozenset()) -> Outputs:
        """Score windows of shape ``(batch, sample)``; ``wanted`` names outputs beside ``clip``.

        Raises:
            InputError: ``wrong_length``, if the model takes one length and this is another; ``internal``, if the
                network answers with NaN or infinity.
            BundleError: the graph gives what the specification does not announce.
        """
        spec = self._spec
        if spec.fixed_length and windows.shape[1] != spec.window_samples:
            raise InputError(
                "wrong_length",
                f"got windows of {windows.shape[1]} samples; {self._name} takes {spec.window_samples} and nothing else",
            )
        names = [CLIP, *sorted(wanted)]
        answer = self._session.run(names, {INPUT: windows})
        found = {name: numbers(values, f"{self._name}: {name}") for name, values in zip(names, answer, strict=True)}
        batch, labels = len(windows), len(spec.labels)
        self._require(found[CLIP].shape == (batch, labels), f"{CLIP} of shape {found[CLIP].shape}")
        if FRAMES in found:
            shape = found[FRAMES].shape
            self._require(len(shape) == 3 and shape[::2] == (batch, labels), f"{FRAMES} of shape {shape}")
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise InputError("internal", f"{self._name} gives non-finite values in {name} for this recording")
        scores = {name: probabilities(found[name], f"{self._name}: {name}") for name in (CLIP, FRAMES) if name in found}
        return Outputs(scores[CLIP], scores.get(FRAMES), found.get(EMBEDDING))

    def _require(self, fine: bool, what: str) -> None:
        if not fine:
            raise BundleError(f"{self._name} gives {what} for its {len(self._spec.labels)} labels; train it again")


class GraphSession:
    """The sessions of one graph, opened when they are first used: with all outputs, and without those of frames.

    Args:
        content: the file.
        threads: within one window.
        where: names it in errors.
        device: that computes it; only the processor has two sessions.
        lean: whether scores of frames will hardly be asked for: they are opened later, then.

    Raises:
        BundleError: the engine refuses the graph.
    """

    def __init__(self, content: bytes, threads: int, where: str, device: str = "cpu", *, lean: bool = False) -> None:
        self._content: bytes | None = content
        self._how = threads, where, device
        self._lock = threading.Lock()
        self._whole: Any = None
        self._lean: Any = None
        if lean and device == "cpu":
            self._open_lean()
        first = self._lean or self._open_whole()
        self.inputs: list[str] = [value.name for value in first.get_inputs()]
        self.outputs = frozenset(graph_outputs(graph_of(content)))

    def run(self, names: Sequence[str], feeds: dict[str, FloatArray]) -> list[Any]:
        """Return outputs by name; any number of threads may ask at once."""
        session = self._whole
        if self._how[2] == "cpu" and _LEAN_OUTPUTS.issuperset(names):
            session = self._lean or self._open_lean()
        found: list[Any] = (session or self._open_whole()).run(list(names), feeds)
        return found

    def _open_whole(self) -> Any:
        with self._lock:
            if self._whole is None and self._content is not None:
                self._whole = open_session(self._content, *self._how)
                self._forget()
            return self._whole

    def _open_lean(self) -> Any:
        """Return the session without frames; the other one if it would be much the same."""
        with self._lock:
            if self._lean is None and self._content is not None:
                part = only_outputs(self._content, _LEAN_OUTPUTS, _LEAN_SHARE)
                if part is None and self._whole is None:
                    self._whole = open_session(self._content, *self._how)
                self._lean = self._whole if part is None else open_session(part, *self._how)
                self._forget()
            return self._lean

    def _forget(self) -> None:
        """Let go of the file once both sessions are open."""
        if self._whole is not None and self._lean is not None:
            self._content = None


def open_network(
    bundle: Bundle, *, precision: str = "float32", threads: int = 1, device: str = "cpu", lean: bool = False
) -> Network:
    """Open the network of a bundle; of a causal model, the network for streams is on the processor always.

    Args:
        bundle: a checked model folder.
        precision: ``float32`` or ``int8``.
        threads: threads within one window; 1 is fastest where several files are scored at once.
        device: see ``devices.choose_device``.
        lean: whether scores of frames will hardly be asked for; they can be, all the same.

    Raises:
        UsageError: the bundle has no such precision, or the installed ONNX Runtime has no such device.
        BundleError: the engine refuses the graph, or its inputs and outputs are not those of a bundle.
    """
    if precision not in ONNX_FILES:
        raise UsageError(f"unknown precision {precision!r}; there are {', '.join(ONNX_FILES)}")
    name = ONNX_FILES[precision]
    if name not in bundle:
        raise UsageError(
            f"{bundle.path} has no {precision} form; make it with `auricle export {bundle.path} --{precision}`"
        )
    device = "cpu" if device == "cpu" else choose_device(device)
    running = open_running(bundle, precision=precision, threads=threads)
    where = str(bundle.path / name)
    return make_network(
        bundle.read(name), bundle.spec, where, threads=threads, running=running, device=device, lean=lean
    )


def open_running(bundle: Bundle, *, precision: str = "float32", threads: int = 1) -> RunningSession | None:
    """Open the running network of a bundle on the CPU; None if the bundle has none in this precision."""
    name = STREAM_FILES[precision]
    if name not in bundle:
        return None
    where = str(bundle.path / name)
    return RunningSession(open_session(bundle.read(name), threads, where), bundle.spec, where)


def make_network(
    content: bytes,
    spec: BundleSpec,
    where: str,
    *,
    threads: int = 1,
    running: RunningNetwork | None = None,
    device: str = "cpu",
    lean: bool = False,
) -> Network:
    """Open a graph and check that it is that of ``spec``; ``where`` names it in errors.

    Raises:
        BundleError: the engine refuses the graph, or its inputs and outputs are not those of a bundle.
    """
    if threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}")
    session = GraphSession(content, threads, where, device, lean=lean)
    network = Network(session, spec, where, running, device)
    needed = {CLIP} | ({FRAMES} if spec.frames is not None else set())
    if session.inputs != [INPUT] or not needed <= network.outputs:
        raise BundleError(
            f"{where} has inputs {session.inputs} and outputs {sorted(network.outputs)}; "
            f"a bundle needs input {INPUT!r} and outputs {sorted(needed)}"
        )
    return network


def open_session(data: bytes, threads: int, where: str, device: str = "cpu") -> Any:
    """Open a graph in ONNX Runtime; ``where`` names it in errors.

    Raises:
        BundleError: it is refused.
        UsageError: the device does not start.
    """
    import onnxruntime  # noqa: PLC0415 (0.1 s that `--help` and a wrong model name need not wait for)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # memory goes back after every window, so long runs stay flat
    # Without this, 8-bit weights would be restored again in every call instead of once, here.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3  # errors are raised; warnings are for whoever exports
    providers = list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))  # what a device lacks is done here
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # the engine raises a kind for each of its status codes
        reason = " ".join(str(error).split())[:300]
        raise BundleError(f"{where} is refused by ONNX Runtime: {reason}") from error
    if device != "cpu":
        require_device(session, device)
    return session
