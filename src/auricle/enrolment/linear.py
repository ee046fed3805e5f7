# SPDX-License-Identifier: Apache-2.0
"""Logistic regression with an L2 penalty, in NumPy: one of several classes or none of them, or each by itself.

The loss is convex, so the result depends neither on the start nor on chance; a start near it saves steps. The solver is
L-BFGS with backtracking (Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MEMORY = 10
_STEPS = 500
#: The largest entry of the gradient at which the solver is done: of the layers that are kept, and of held-out fits.
TOLERANCE, COARSE = 1e-5, 2e-4


@dataclass(frozen=True)
class Linear:
    """``x @ weight.T + bias``; ``weight`` has shape ``(label, feature)``, ``bias`` ``(label,)``."""

    weight: Array
    bias: Array

    def logits(self, x: npt.ArrayLike) -> Array:
        """Map ``(..., feature)`` to ``(..., label)``."""
        return np.asarray(np.asarray(x, np.float64) @ self.weight.T + self.bias)

    def scores(self, x: npt.ArrayLike, task: str) -> Array:
        """Map ``(..., feature)`` to probabilities ``(..., label)``: see ``link``."""
        return link(self.logits(x), task)


def link(logits: Array, task: str) -> Array:
    """Return probabilities: ``single`` is a softmax in which "none" has the logit 0, ``multi`` a sigmoid for each.

    >>> link(np.array([0.0]), "single").tolist() == link(np.array([0.0]), "multi").tolist() == [0.5]
    True
    """
    if task == "multi":
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
    top = np.maximum(logits.max(axis=-1, keepdims=True), 0.0)
    shares = np.exp(logits - top)
    return np.asarray(shares / (shares.sum(axis=-1, keepdims=True) + np.exp(-top)))


def log_loss(logits: Array, targets: Array, task: str) -> Array:
    """Return the loss of each item in nats, shape ``(item,)``; ``single`` rows of zeros are "none"."""
    if task == "multi":
        return _sigmoid_loss(logits, targets)[0]
    return _softmax_loss(np.column_stack([logits, np.zeros(len(logits))]), _with_none(targets))[0]


def fit_linear(
    x: Array,
    targets: Array,
    weights: Array,
    penalty: float,
    task: str,
    start: Linear | None = None,
    tolerance: float = TOLERANCE,
) -> Linear:
    """Return the map with the least ``sum(weights * log_loss) / sum(weights) + penalty / 2 * sum(weight ** 2)``.

    "None of them" has weights of its own in the fit, as every class has; they are subtracted from the others' then.

    Args:
        x: shape ``(item, feature)``, best with mean 0 and deviation 1.
        targets: 0 or 1, shape ``(item, label)``; rows of zeros are "none of them".
        weights: of the items, shape ``(item,)``.
        penalty: above 0; the bias is not penalised.
        task: ``single`` or ``multi``, as for ``link``.
        start: where to begin.
        tolerance: the largest entry of the gradient that is accepted.
    """
    share = (weights / weights.sum())[:, None]
    wanted = _with_none(targets) if task == "single" else targets
    labels, features = wanted.shape[1], x.shape[1]

    def value(flat: Array) -> tuple[float, Array]:
        table = flat.reshape(labels, features + 1)
        logits = x @ table[:, :-1].T + table[:, -1]
        loss, p = _softmax_loss(logits, wanted) if task == "single" else _sigmoid_loss(logits, wanted)
        error = (p - wanted) * share
        slope = np.column_stack([error.T @ x + penalty * table[:, :-1], error.sum(axis=0)])
        return float(share[:, 0] @ loss + penalty / 2 * np.square(table[:, :-1]).sum()), slope.ravel()

    table = np.zeros((labels, features + 1))
    if start is not None:
        table[: targets.shape[1]] = np.column_stack([start.weight, start.bias])
        table -= table.mean(axis=0) if task == "single" else 0.0  # where the penalty is least
    table = minimise(value, table.ravel(), tolerance).reshape(labels, features + 1)
    if task == "single":
        table = table[:-1] - table[-1]
    return Linear(table[:, :-1].copy(), table[:, -1].copy())


def _with_none(targets: Array) -> Array:
    """Append the column of "none": 1 where nothing else is."""
    return np.column_stack([targets, 1 - targets.sum(axis=1)])


def _softmax_loss(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return the loss of each item, and the probabilities."""
    top = logits.max(axis=1, keepdims=True)
    shares = np.exp(logits - top)
    total = shares.sum(axis=1, keepdims=True)
    return (np.log(total) + top)[:, 0] - (targets * logits).sum(axis=1), shares / total


def _sigmoid_loss(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return the loss of each item, and the probabilities."""
    return (np.logaddexp(0, logits) - targets * logits).sum(axis=1), link(logits, "multi")


def minimise(value: Callable[[Array], tuple[float, Array]], start: Array, tolerance: float = TOLERANCE) -> Array:
    """Return where a smooth convex function is least; ``value`` gives it and its gradient."""
    at = start
    here, slope = value(at)
    pairs: deque[tuple[Array, Array]] = deque(maxlen=_MEMORY)
    for _ in range(_STEPS):
        if np.abs(slope).max() < tolerance:
            break
        direction = -_inverse_times(pairs, slope)
        fall = float(direction @ slope)
        size = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(slope).sum()))
        there, after = value(at + size * direction)
        while there > here + 1e-4 * size * fall and size > 1e-12:
            size /= 2
            there, after = value(at + size * direction)
        move, change = size * direction, after - slope
        if move @ change > 1e-14 * float(change @ change):
            pairs.append((move, change))
        at, here, slope = at + move, there, after
    return at


def _inverse_times(pairs: deque[tuple[Array, Array]], slope: Array) -> Array:
    """Return an estimate of the inverse Hessian times the gradient."""
    result, shares = slope.copy(), []
    for move, change in reversed(pairs):
        share = float(move @ result) / float(move @ change)
        result -= share * change
        shares.append(share)
    if pairs:
        move, change = pairs[-1]
        result *= float(move @ change) / float(change @ change)
    for (move, change), share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(change @ result) / float(move @ change)) * move
    return result
