# SPDX-License-Identifier: Apache-2.0
"""A published EfficientAT checkpoint as a teacher: 527 classes of AudioSet and an embedding."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch

from auricle.errors import UsageError
from auricle.files import sha256_file
from auricle.nn.modules.efficientat import EfficientAt, load_checkpoint
from auricle.results import FloatArray
from auricle.teachers.teacher import Answer

#: Beside the checkpoint, as AudioSet publishes it: columns ``index``, ``mid``, ``display_name``.
LABELS_FILE = "audioset_class_labels_indices.csv"
#: The networks take any length; longer windows say less about when.
WINDOW_S = 10.0


class EfficientAtTeacher:
    """See ``teacher.Teacher``; made by ``open_efficientat``."""

    def __init__(self, network: EfficientAt, labels: tuple[str, ...], name: str, identity: str, *, bf16: bool) -> None:
        self.name, self.identity, self.labels = name, f"{identity}{'-bf16' * bf16}", labels
        self.sample_rate = network.spec.sample_rate
        self.window_s = WINDOW_S
        self.embedding_size = network.embedding_size
        self._network, self._bf16 = network, bf16

    def score(self, waveforms: FloatArray) -> Answer:
        """See ``teacher.Teacher.score``."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            output = self._network(torch.from_numpy(np.ascontiguousarray(waveforms)))
        return Answer(torch.sigmoid(output.clip_logits).float().numpy(), output.embedding.float().numpy())


def open_efficientat(path: Path, *, bf16: bool = False) -> EfficientAtTeacher:
    """Load a checkpoint and the names of its classes, which lie beside it.

    Raises:
        UsageError: no checkpoint of EfficientAT, or no list of its classes.
    """
    network = load_checkpoint(path)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    labels = read_class_names(path.with_name(LABELS_FILE), network.classes)
    return EfficientAtTeacher(network, labels, path.stem, sha256_file(path), bf16=bf16)


def read_class_names(path: Path, count: int) -> tuple[str, ...]:
    """Return the names in AudioSet's own table; raises ``UsageError`` if they are not ``count``."""
    if not path.is_file():
        raise UsageError(
            f"{path} is missing: the checkpoint holds no names of its {count} classes; put AudioSet's table "
            "(columns index, mid, display_name) beside it"
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["index"]))
    names = tuple(row["display_name"] for row in rows)
    if len(names) != count:
        raise UsageError(f"{path} names {len(names)} classes, the checkpoint has {count}; they do not belong together")
    return names


def read_class_ids(path: Path) -> dict[str, str]:
    """Return AudioSet's identifier (``mid``) of each class in its own table."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["display_name"]: row["mid"] for row in csv.DictReader(file)}
