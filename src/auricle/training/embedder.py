# SPDX-License-Identifier: Apache-2.0
"""Embeddings as a step of scikit-learn: ``make_pipeline(Embedder(), LogisticRegression())`` on paths or arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from auricle.errors import InputError, UsageError
from auricle.files import printable
from auricle.runtime.detector import Detector, load
from auricle.runtime.inputs import AudioInput
from auricle.runtime.model_names import DEFAULT_MODEL


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Recordings to vectors, a row each: what ``Detector.embed`` gives.

    It learns nothing: ``fit`` only loads the model. It can be cloned, pickled and searched over like any step.

    Args:
        model: folder or name; None is the built-in model.
        sample_rate: of arrays, in Hz; files know theirs.
        jobs: recordings at the same time.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, sample_rate: int | None = None, jobs: int = 1
    ) -> None:
        self.model = model
        self.sample_rate = sample_rate
        self.jobs = jobs

    def fit(self, recordings: Any, labels: Any = None) -> Embedder:
        """Load the model; recordings and labels are not looked at."""
        self._load()
        return self

    def transform(self, recordings: Iterable[AudioInput]) -> npt.NDArray[np.float32]:
        """Return the vectors, shape ``(recording, dimension)``.

        Raises:
            UsageError: no recording.
            InputError: a recording cannot be used; a row of zeros would lie.
        """
        detector = self._load()
        if isinstance(recordings, str | bytes | os.PathLike):
            raise UsageError("got one path; expected a list of recordings, of which each becomes a row")
        rows = []
        for result in detector.embed_many(recordings, self.sample_rate, jobs=self.jobs):
            if result.error is not None:
                raise InputError(result.error.code, f"{printable(result.path)}: {result.error.message}")
            rows.append(np.asarray(result.embedding))
        if not rows:
            raise UsageError("no recording to embed")
        return np.stack(rows)

    def get_feature_names_out(self, names: Any = None) -> npt.NDArray[np.object_]:
        """Return ``e0`` to the last, as the columns of ``auricle embed --format csv``."""
        return np.array([f"e{i}" for i in range(self._load().embedding_size)], object)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model out of pickles: its name is enough."""
        state = dict(super().__getstate__())
        state.pop("_detector", None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        """It needs no fitting."""
        return True

    def _load(self) -> Detector:
        """Return the model, loaded once as long as its name stays."""
        name = DEFAULT_MODEL if self.model is None else self.model
        kept: tuple[Any, Detector] | None = getattr(self, "_detector", None)
        if kept is None or kept[0] != name:
            kept = self._detector = (name, load(name))
        return kept[1]
