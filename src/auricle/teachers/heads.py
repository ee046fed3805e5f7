# SPDX-License-Identifier: Apache-2.0
"""A small head on a teacher's embedding, for the user's classes: logistic regression, nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from auricle.errors import DataError
from auricle.results import FloatArray

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Weight of the squared weights beside the summed loss; embeddings are standardised, so one value fits all teachers.
PENALTY = 0.5
#: Those that are tried where statistics of many stages are the embedding: far more numbers than clips.
PENALTIES = (0.5, 5.0, 50.0, 500.0, 5_000.0)
#: So many clips of a turn, and steps of the solver, decide between them.
MOST_CHOOSING, _CHOOSING_STEPS = 1_500, 60
_STEPS = 200
_LEAST_SPREAD = 1e-3
_SMALLEST = 1e-7


@dataclass(frozen=True)
class LinearHead:
    """Standardise, multiply, squash.

    Attributes:
        task: ``single`` (softmax) or ``multi`` (sigmoid).
        mean: of the embeddings it was fitted on, ``(dimension,)``.
        scale: their spread, ``(dimension,)``.
        weight: ``(dimension, label)``.
        bias: ``(label,)``.
    """

    task: str
    mean: Float64
    scale: Float64
    weight: Float64
    bias: Float64

    def __call__(self, embeddings: FloatArray) -> FloatArray:
        """Return scores ``(..., label)`` of embeddings ``(..., dimension)``."""
        z = (np.asarray(embeddings, np.float64) - self.mean) / self.scale @ self.weight + self.bias
        if self.task == "multi":
            return np.asarray(0.5 * (1 + np.tanh(0.5 * z)), np.float32)
        shares = np.exp(z - z.max(-1, keepdims=True))
        return np.asarray(shares / shares.sum(-1, keepdims=True), np.float32)


def fit_head(
    embeddings: FloatArray,
    targets: FloatArray | Float64,
    task: str,
    penalty: float = PENALTY,
    *,
    start: LinearHead | None = None,
    steps: int = _STEPS,
) -> LinearHead:
    """Fit a head by penalised maximum likelihood (L-BFGS in float64; convex, so the start does not matter).

    Args:
        embeddings: ``(clip, dimension)``.
        targets: ``(clip, label)`` in [0, 1].
        task: ``single`` or ``multi``.
        penalty: weight of the squared weights beside the summed loss.
        start: a head of the same embeddings by another penalty, from which it is not far to this one.
        steps: of the solver, at most.

    Raises:
        DataError: there are no embeddings, or not one clip of a class.
    """
    if embeddings.shape[1] == 0:
        raise DataError("no head can be fitted", ["the teacher has no embedding; use --map to translate its classes"])
    absent = np.flatnonzero(targets.sum(0) == 0)
    if len(absent):
        raise DataError("no head can be fitted", [f"no clip of {len(absent)} of {targets.shape[1]} classes"])
    x = np.asarray(embeddings, np.float64)
    mean, scale = x.mean(0), np.maximum(x.std(0), _LEAST_SPREAD)
    inputs, wanted = torch.from_numpy((x - mean) / scale), torch.from_numpy(np.asarray(targets, np.float64))
    weight = torch.zeros(x.shape[1], targets.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(targets.shape[1], dtype=torch.float64, requires_grad=True)
    if start is not None:
        weight.data, bias.data = torch.from_numpy(start.weight).clone(), torch.from_numpy(start.bias).clone()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = inputs @ weight + bias
        if task == "single":
            loss = -(wanted * torch.log_softmax(logits, -1)).sum()
        else:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
        loss = loss + penalty * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return LinearHead(task, mean, scale, weight.detach().numpy(), bias.detach().numpy())


def choose_penalty(
    embeddings: FloatArray,
    targets: FloatArray | Float64,
    task: str,
    turns: Sequence[tuple[Sequence[int] | IntArray, Sequence[int] | IntArray]],
) -> float:
    """Return the penalty whose heads say most of clips that they were not fitted on.

    Args:
        embeddings: ``(clip, dimension)``.
        targets: ``(clip, label)`` in [0, 1].
        task: ``single`` or ``multi``.
        turns: of each turn the clips to fit on, and those to judge by.

    Returns:
        The one of ``PENALTIES`` with the least log loss of all clips that are judged by, from the largest on as long as
        it falls; ``PENALTY`` where there is no turn with clips of all classes.
    """
    usable: list[tuple[FloatArray, FloatArray | Float64, Sequence[int] | IntArray]] = []
    heads: list[LinearHead | None] = []
    for fitted, held in turns:
        part = np.asarray(fitted)[:: max(1, -(-len(fitted) // MOST_CHOOSING))]
        if len(held) and len(part) and not (targets[part].sum(0) == 0).any():
            usable.append((embeddings[part], targets[part], held))
            heads.append(None)
    best, least = PENALTY, np.inf
    for penalty in sorted(PENALTIES, reverse=True) if usable else ():
        fits = [
            fit_head(x, wanted, task, penalty, start=head, steps=_CHOOSING_STEPS)
            for (x, wanted, _), head in zip(usable, heads, strict=True)
        ]
        loss = sum(_log_loss(h, embeddings, targets, held) for h, (_, _, held) in zip(fits, usable, strict=True))
        heads = [*fits]
        if loss >= least:
            break  # on the way to smaller ones it falls, and then rises
        best, least = penalty, loss
    return best


def _log_loss(
    head: LinearHead, embeddings: FloatArray, targets: FloatArray | Float64, held: Sequence[int] | IntArray
) -> float:
    """Return the summed cross-entropy of some clips in nats."""
    scores = np.clip(head(embeddings[held]).astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    wanted = np.asarray(targets[held], np.float64)
    loss = -(wanted * np.log(scores)).sum()
    return float(loss if head.task == "single" else loss - ((1 - wanted) * np.log1p(-scores)).sum())
