# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs as teachers: any auricle model, and any tagger of others that a small JSON file describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auricle.errors import UsageError
from auricle.files import sha256_bytes
from auricle.results import FloatArray
from auricle.runtime.bundle import load_bundle
from auricle.runtime.llr import calibrated_scores
from auricle.runtime.onnx_safety import check_onnx
from auricle.runtime.onnx_session import EMBEDDING, Network, open_network
from auricle.runtime.spec import BundleSpec
from auricle.teachers.teacher import Answer


class BundleTeacher:
    """A trained auricle model; see ``teacher.Teacher``."""

    def __init__(self, network: Network, spec: BundleSpec, name: str) -> None:
        self.name, self.labels, self.sample_rate = name, spec.labels, spec.sample_rate
        self.identity = spec.sha256["model.onnx"]
        self.window_s = spec.window_s
        self._network, self._spec = network, spec
        self._wanted = frozenset({EMBEDDING} & network.outputs)
        self.embedding_size = 0
        if self._wanted:
            answer = self.score(np.zeros((1, spec.window_samples), np.float32)).embedding
            self.embedding_size = 0 if answer is None else answer.shape[1]

    def score(self, waveforms: FloatArray) -> Answer:
        """See ``teacher.Teacher.score``."""
        outputs = self._network.run(np.ascontiguousarray(waveforms), self._wanted)
        rows = [calibrated_scores(row, self._spec) for row in outputs.clip]
        return Answer(np.stack(rows).astype(np.float32), outputs.embedding)


def open_bundle_teacher(folder: Path, *, threads: int = 1) -> BundleTeacher:
    """Open a model folder as a teacher; raises ``BundleError`` if it is damaged."""
    bundle = load_bundle(folder)
    return BundleTeacher(open_network(bundle, threads=threads), bundle.spec, bundle.spec.name)


class GraphCard(BaseModel):
    """``tagger.json`` beside ``tagger.onnx``: what the graph does not say itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sample_rate: int = Field(ge=1_000, le=768_000)
    window_s: float = Field(gt=0, le=3_600)
    labels: tuple[str, ...] = Field(min_length=1)
    input: str | None = None
    scores: str | None = None
    embedding: str | None = None
    activation: str = Field("none", pattern="^(none|sigmoid|softmax)$")


class GraphTeacher:
    """A foreign ONNX tagger; see ``teacher.Teacher``. Waveforms ``(batch, sample)`` in, scores or logits out."""

    def __init__(self, session: onnxruntime.InferenceSession, card: GraphCard, name: str, identity: str) -> None:
        self.name, self.identity, self.labels = name, identity, card.labels
        self.sample_rate, self.window_s, self.activation = card.sample_rate, card.window_s, card.activation
        self._session, self._card = session, card
        self.input = session.get_inputs()[0].name if card.input is None else card.input
        first = session.get_outputs()[0].name if card.scores is None else card.scores
        self.outputs = [first, *([] if card.embedding is None else [card.embedding])]
        self.embedding_size = 0
        answer = self.score(np.zeros((1, round(card.window_s * card.sample_rate)), np.float32))
        if answer.scores.shape != (1, len(card.labels)):
            raise UsageError(
                f"teacher {name}: its scores have shape {answer.scores.shape}, {len(card.labels)} labels are "
                "listed beside it; expected (batch, label)"
            )
        self.embedding_size = 0 if answer.embedding is None else answer.embedding.shape[1]

    def score(self, waveforms: FloatArray) -> Answer:
        """See ``teacher.Teacher.score``."""
        values = self._session.run(self.outputs, {self.input: np.ascontiguousarray(waveforms, np.float32)})
        scores = np.asarray(values[0], np.float64)
        if self._card.activation == "sigmoid":
            scores = 1 / (1 + np.exp(-scores))
        elif self._card.activation == "softmax":
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
        if scores.size and not (scores.min() >= -1e-3 and scores.max() <= 1 + 1e-3):
            raise UsageError(
                f"teacher {self.name}: its scores run from {scores.min():.4g} to {scores.max():.4g}, and scores lie in "
                '[0, 1]; say in the file beside it how they are meant: "activation": "sigmoid" or "softmax"'
            )
        embedding = None if len(values) == 1 else np.asarray(values[1], np.float32)
        return Answer(np.clip(scores, 0, 1).astype(np.float32), embedding)


def open_graph(path: Path, *, threads: int = 1) -> GraphTeacher:
    """Open a foreign ONNX tagger with the card beside it.

    Raises:
        UsageError: no card, a card that cannot be used, or a graph that does not do what it says.
        BundleError: the graph holds external data or custom operators.
    """
    card_path = path.with_suffix(".json")
    wanted = '{"sample_rate": 16000, "window_s": 10, "labels": [...], "activation": "sigmoid"}'
    if not path.is_file():
        raise UsageError(f"teacher {path}: no such file")
    if not card_path.is_file():
        raise UsageError(f"teacher {path}: {card_path.name} is missing beside it; write there {wanted}")
    try:
        card = GraphCard.model_validate_json(card_path.read_bytes())
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{card_path} cannot be used: {found}; expected {wanted}") from error
    content = path.read_bytes()
    check_onnx(content, str(path), loops=True)  # taggers converted from other frameworks may have some
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    identity = sha256_bytes(content + card_path.read_bytes())
    try:
        return GraphTeacher(session, card, path.stem, identity)
    except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"teacher {path}: it does not take waveforms (batch, sample): {reason}") from error
