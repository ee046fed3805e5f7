# SPDX-License-Identifier: Apache-2.0
"""The windows of an archive that are most like an example: cosine similarity with every vector, block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from auricle.audio.decode import read_audio
from auricle.errors import UsageError
from auricle.results import FloatArray, Match
from auricle.retrieval.index import VectorFolder
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import EMBEDDING
from auricle.runtime.spec import ONNX_FILES
from auricle.synth.activity import loudest
from auricle.timeline import pad_window, seconds_to_samples

#: Vectors that are compared at once: they fit the cache of a processor.
BLOCK = 16_384
_SMALLEST = 1e-9


def search_example(detector: Detector, example: str, index: VectorFolder, top: int) -> list[Match]:
    """Return the ``top`` windows that are most like an example, each once: of windows that overlap, the better one.

    Args:
        detector: of the model that made the vectors.
        example: a recording; its loudest window is what is looked for.
        index: the vectors.
        top: how many windows.

    Raises:
        UsageError: another model.
        InputError: the example cannot be read.
    """
    network = detector.spec.sha256[ONNX_FILES["float32"]]
    if network != index.network:
        raise UsageError(
            f"the vectors in {index.path} are of another model ({index.model}, network {index.network[:12]}…) than "
            f"{detector.spec.name} ({network[:12]}…); name that model with --model, or embed the archive again"
        )
    scores = similarities(index.vectors, example_vector(detector, example, index.rule.window_s))
    # Twice as many and some more: neighbours of a hit are the same sound again.
    order = best_rows(scores, min(len(scores), 8 * top + 64))
    matches: list[Match] = []
    for row, (path, onset, offset) in zip(order, index.windows(order), strict=True):
        if len(matches) == top:
            break
        if not any(m.path == path and onset < m.offset and m.onset < offset for m in matches):
            matches.append(Match(path, onset, offset, float(scores[row])))
    return matches


def example_vector(detector: Detector, example: str, window_s: float) -> FloatArray:
    """Return the vector of the loudest window of a recording, ``(dimension,)``."""
    spec = detector.spec
    samples = np.asarray(read_audio(example, sample_rate=spec.sample_rate).samples, np.float32)
    length = seconds_to_samples(window_s, spec.sample_rate)
    part = pad_window(loudest(samples, length), length, spec.pad)
    found = detector.network.run(part[None], frozenset({EMBEDDING})).embedding
    if found is None:
        raise ValueError("the network gives no embedding")
    return np.asarray(found[0])


def similarities(vectors: npt.NDArray[np.float16], wanted: FloatArray) -> FloatArray:
    """Return the cosine of each row of ``(window, dimension)`` with a vector, shape ``(window,)``.

    >>> similarities(np.array([[3, 4], [0, 0], [-6, -8]], np.float16), np.array([3, 4], np.float32)).tolist()
    [1.0, 0.0, -1.0]
    """
    unit = (wanted / max(float(np.linalg.norm(wanted)), _SMALLEST)).astype(np.float32)
    found = np.empty(len(vectors), np.float32)
    for begin in range(0, len(vectors), BLOCK):
        block = vectors[begin : begin + BLOCK].astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        found[begin : begin + BLOCK] = block @ unit / np.maximum(lengths, _SMALLEST)
    return found


def best_rows(scores: FloatArray, count: int) -> list[int]:
    """Return the rows with the highest scores, from high to low; of equal ones the first.

    >>> best_rows(np.array([0.1, 0.9, 0.5, 0.9], np.float32), 3)
    [1, 3, 2]
    """
    if count >= len(scores):
        return [int(row) for row in np.argsort(-scores, kind="stable")]
    some = np.sort(np.argpartition(-scores, count)[:count])
    return [int(row) for row in some[np.argsort(-scores[some], kind="stable")]]
