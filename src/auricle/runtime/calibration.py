# SPDX-License-Identifier: Apache-2.0
"""Clip scores that mean what they say: of all clips scored 0.8, four in five should hold the sound.

Pure functions. Calibration acts on the clip scores of a whole recording, after the windows were aggregated;
frame scores, events and their thresholds stay as the network gives them. Temperature scaling is that of Guo et al.,
"On Calibration of Modern Neural Networks", ICML 2017; the logistic map with its smoothed targets is that of
Platt, "Probabilistic Outputs for Support Vector Machines", 1999. Both are fitted by Newton's method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from auricle.results import FloatArray
from auricle.runtime.spec import CalibrationPart

Array = npt.NDArray[np.float64]

#: Fewer held-out recordings say nothing about probabilities.
LEAST_CLIPS = 20
#: A logistic map per label needs so many clips with the label, and without it.
LEAST_OF_A_KIND = 5
_FOLDS = 5
_SMALLEST = 1e-7
_STEPS = 100
_TOLERANCE = 1e-10
_LOG_TEMPERATURE_LIMIT = 5.0


def logit(scores: npt.ArrayLike) -> Array:
    """Return log-odds; scores are kept 1e-7 away from 0 and 1."""
    p = np.clip(np.asarray(scores, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(p / (1 - p)))


def sigmoid(values: npt.ArrayLike) -> Array:
    """Return ``1 / (1 + exp(-values))`` without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64))))


def apply_calibration(scores: FloatArray, calibration: CalibrationPart | None, task: str, *, none: bool) -> FloatArray:
    """Return calibrated clip scores, shape ``(..., label)``.

    Args:
        scores: clip scores, shape ``(..., label)``.
        calibration: what the bundle states; None changes nothing.
        task: ``single`` scores share one softmax, ``multi`` scores are independent.
        none: whether that softmax has an unseen part for "none of the labels".
    """
    if calibration is None:
        return scores
    if calibration.temperature is not None:
        return apply_temperature(scores, calibration.temperature, task, none=none)
    return apply_logistic(scores, np.asarray(calibration.scale), np.asarray(calibration.bias))


def apply_temperature(scores: FloatArray, temperature: float, task: str, *, none: bool = False) -> FloatArray:
    """Divide log-odds (``multi``) or log-probabilities before the softmax (``single``) by ``temperature``."""
    if task == "multi":
        return sigmoid(logit(scores) / temperature).astype(np.float32)
    full = _softmax(_log_shares(scores, none=none) / temperature)
    return full[..., : scores.shape[-1]].astype(np.float32)


def apply_logistic(scores: FloatArray, scale: Array, bias: Array) -> FloatArray:
    """Map the log-odds ``z`` of each label to ``scale * z + bias``; ``scale`` and ``bias`` have shape ``(label,)``."""
    return sigmoid(logit(scores) * scale + bias).astype(np.float32)


def fit_temperature(scores: FloatArray, targets: npt.ArrayLike, task: str, *, none: bool = False) -> float:
    """Return the temperature with the least log loss.

    The loss is convex in the inverse temperature, where Newton's method runs; the result lies within
    ``exp(-5)`` and ``exp(5)``, so that perfect scores do not send it to zero.

    Args:
        scores: clip scores, shape ``(clip, label)``.
        targets: 0 or 1, same shape; in task ``single`` a row of zeros means "none" if ``none``.
        task: ``single`` or ``multi``.
        none: see ``apply_calibration``.
    """
    y = _check_targets(scores, targets)
    if task == "multi":
        z = logit(scores)

        def slopes(beta: float) -> tuple[float, float]:
            p = sigmoid(beta * z)
            return float(((p - y) * z).sum()), float((p * (1 - p) * z * z).sum())

    else:
        z = _log_shares(scores, none=none)
        if none:
            y = np.column_stack([y, 1 - y.sum(axis=1)])

        def slopes(beta: float) -> tuple[float, float]:
            p = _softmax(beta * z)
            mean = (p * z).sum(axis=1, keepdims=True)
            return float(((p - y) * z).sum()), float((p * (z - mean) ** 2).sum())

    low, high = np.exp(-_LOG_TEMPERATURE_LIMIT), np.exp(_LOG_TEMPERATURE_LIMIT)
    beta = 1.0
    for _ in range(_STEPS):
        slope, curvature = slopes(beta)
        # The minimum lies on the downhill side: the bracket shrinks, and a step that leaves it becomes a bisection.
        low, high = (low, beta) if slope > 0 else (beta, high)
        new = beta - slope / curvature if curvature > 0 else (low + high) / 2
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - beta) < _TOLERANCE * beta:
            break
        beta = new
    return float(1 / beta)


def fit_logistic(scores: FloatArray, targets: npt.ArrayLike) -> tuple[Array, Array]:
    """Return ``scale`` and ``bias`` of the logistic map of each label, each of shape ``(label,)``.

    Targets are smoothed to ``(n1 + 1) / (n1 + 2)`` and ``1 / (n0 + 2)`` (Platt), which keeps the map finite where a
    score separates the classes perfectly. A label that has clips of one kind only is left as it is.

    Args:
        scores: clip scores, shape ``(clip, label)``.
        targets: 0 or 1, same shape.
    """
    y = _check_targets(scores, targets)
    pairs = [_fit_platt(z, t) for z, t in zip(logit(scores).T, y.T, strict=True)]
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


def fit_calibration(
    scores: FloatArray, targets: npt.ArrayLike, task: str, *, none: bool = False, groups: Sequence[str] | None = None
) -> CalibrationPart | None:
    """Return the calibration with the least log loss on held-out recordings; None where none is better than the scores.

    Candidates are a temperature and, for ``multi`` with enough clips of each kind, a logistic map per label. They are
    compared by cross-fitting, so that a map is judged on recordings that it was not fitted on; the best is then fitted
    on all.

    Args:
        scores: clip scores of recordings that the weights did not learn from, shape ``(clip, label)``.
        targets: 0 or 1, same shape.
        task: ``single`` or ``multi``.
        none: see ``apply_calibration``.
        groups: of the recordings; a group is never on both sides. Each recording is one if None.
    """
    y = _check_targets(scores, targets)
    if len(y) < LEAST_CLIPS:
        return None
    names = [str(i) for i in range(len(y))] if groups is None else list(groups)
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    fold = np.array([order[name] % _FOLDS for name in names])
    methods = ["temperature"]
    if task == "multi" and min(y.sum(0).min(), (1 - y).sum(0).min()) >= LEAST_OF_A_KIND:
        methods.append("logistic")
    before = _log_loss(np.asarray(scores, np.float64), y, task, none=none)
    after = dict.fromkeys(methods, before)
    for method in methods:
        fitted = np.array(scores, np.float64)
        for part in range(_FOLDS):
            held = fold == part
            if held.any() and not held.all():
                found = _fit(method, scores[~held], y[~held], task, none=none)
                fitted[held] = apply_calibration(scores[held], found, task, none=none)
        after[method] = _log_loss(fitted, y, task, none=none)
    best = min(methods, key=after.__getitem__)
    if after[best] >= before:
        return None
    found = _fit(best, scores, y, task, none=none)
    return found.model_copy(update={"log_loss_before": before, "log_loss_after": after[best]})


def _fit(method: str, scores: FloatArray, y: Array, task: str, *, none: bool) -> CalibrationPart:
    if method == "temperature":
        return CalibrationPart(method="temperature", temperature=fit_temperature(scores, y, task, none=none))
    scale, bias = fit_logistic(scores, y)
    return CalibrationPart(method="logistic", scale=tuple(map(float, scale)), bias=tuple(map(float, bias)))


def _log_loss(scores: Array, y: Array, task: str, *, none: bool) -> float:
    """Return the mean log loss of a clip; where ``none`` stands, of "none of the labels" too."""
    p = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    if task == "multi":
        return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
    loss = (y * np.log(p)).sum(axis=1)
    if none:
        rest = np.clip(1 - np.asarray(scores, np.float64).sum(axis=1), _SMALLEST, 1)
        loss = loss + (1 - y.sum(axis=1)) * np.log(rest)
    return float(-loss.mean())


def _fit_platt(z: Array, y: Array) -> tuple[float, float]:
    """Fit one label."""
    positives = int(y.sum())
    negatives = len(y) - positives
    if positives == 0 or negatives == 0:
        return 1.0, 0.0
    target = np.where(y > 0.5, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return fit_weighted_logistic(z, target, np.ones_like(z))


def fit_weighted_logistic(z: Array, targets: Array, weights: Array) -> tuple[float, float]:
    """Return scale and bias of the logistic map with the least weighted log loss, by damped Newton steps.

    Args:
        z: scores, shape ``(item,)``.
        targets: probabilities, strictly between 0 and 1, same shape.
        weights: of the items, same shape.
    """
    design = np.column_stack([z, np.ones_like(z)])

    def loss(w: Array) -> float:
        x = design @ w
        return float((weights * (np.logaddexp(0, x) - targets * x)).sum())

    fitted = np.array([1.0, 0.0])
    value = loss(fitted)
    for _ in range(_STEPS):
        p = sigmoid(design @ fitted)
        gradient = design.T @ (weights * (p - targets))
        hessian = (design.T * (weights * p * (1 - p))) @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while loss(fitted - size * step) > value and size > 1e-8:
            size /= 2
        fitted = fitted - size * step
        new = loss(fitted)
        if value - new < _TOLERANCE:
            break
        value = new
    return float(fitted[0]), float(fitted[1])


def _log_shares(scores: FloatArray, *, none: bool) -> Array:
    """Return log-probabilities, with the unseen "none" as last column if ``none``."""
    p = np.asarray(scores, np.float64)
    if none:
        p = np.concatenate([p, 1 - p.sum(axis=-1, keepdims=True)], axis=-1)
    return np.asarray(np.log(np.maximum(p, _SMALLEST)))


def _softmax(values: Array) -> Array:
    shares = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _check_targets(scores: FloatArray, targets: npt.ArrayLike) -> Array:
    y = np.asarray(targets, np.float64)
    if scores.ndim != 2 or y.shape != scores.shape or len(scores) == 0:
        raise ValueError(f"need scores and targets of one shape (clip, label), got {scores.shape} and {y.shape}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("targets must be 0 or 1")
    return y
