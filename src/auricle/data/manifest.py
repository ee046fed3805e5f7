# SPDX-License-Identifier: Apache-2.0
"""What a data set is once it has been read: clips with labels, and nothing decoded.

A *clip* is a recording, or a segment of one, with its labels. A *negative* clip holds none of the
classes: it trains the model to stay silent. A *group* is what must not be torn apart by a split
(a speaker, an original recording); without one, a file is its own group.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from auricle.data.labels import Task, natural_key
from auricle.results import Event, Flag, FloatArray, rounded

LabelKind = Literal["hard", "soft", "both"]
BoolArray = npt.NDArray[np.bool_]

#: What a protocol writes for ``extra["system"]`` where no spoofing system made the clip: a person speaks.
NO_SYSTEM = "-"
#: What a protocol writes of a changed recording, and the key of ``extra`` that such a clip has then.
VARIANT = "variant"


@dataclass(frozen=True, eq=False, slots=True)
class Clip:
    """One recording or segment and what is known about it.

    Attributes:
        key: path as the data set lists it, with forward slashes; the same on every machine.
        path: where the file lies on this machine.
        label: its classes, sorted; empty for a negative. For soft labels alone, the classes they point to.
        negative: labelled as holding none of the classes.
        kind: which labels are there: from people (``hard``), from a teacher (``soft``), or ``both``.
        targets: soft labels in the order of the manifest's labels, shape ``(label,)``.
        fold: name of its cross-validation fold.
        split: ``train``, ``dev`` or ``test`` where the data says so.
        group: what must stay on one side of a split.
        onset: start of the segment in seconds; None is the start of the file.
        offset: end of the segment in seconds; None is the end of the file.
        events: strong labels: all that is audible in the clip and when, in seconds from its start; ``()`` says that
            nothing can. None: the labels are weak, nobody said when.
        duration: length in seconds, where the data says so.
        size_bytes: size of the file.
        extra: further facts by name, such as the spoofing ``system``.
    """

    key: str
    path: str
    label: tuple[str, ...] = ()
    negative: bool = False
    kind: LabelKind = "hard"
    targets: FloatArray | None = None
    fold: str | None = None
    split: str | None = None
    group: str | None = None
    onset: float | None = None
    offset: float | None = None
    events: tuple[Event, ...] | None = None
    duration: float | None = None
    size_bytes: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def segment(self) -> tuple[str, float, float | None]:
        """Return what tells this clip from all others: key, onset, offset."""
        return self.key, 0.0 if self.onset is None else self.onset, self.offset

    @property
    def strong(self) -> bool:
        """Tell whether the labels say when."""
        return self.events is not None

    @property
    def is_array(self) -> bool:
        """Tell whether the file is a NumPy array rather than audio."""
        return self.path.lower().endswith(".npy")


@dataclass(frozen=True)
class ArraySpec:
    """What the ``.npy`` files of a data set hold.

    Attributes:
        kind: ``waveform`` (arrays ``(time,)``) or ``logmel`` (arrays ``(mel, frame)``).
        sample_rate: of the waveforms, or of the audio behind the log-mels, in Hz.
        frontend: settings of the log-mel front end, by the names of a recipe's ``frontend`` section.
        scale: factor for integer samples; None refuses them.
    """

    kind: Literal["waveform", "logmel"]
    sample_rate: int
    frontend: Mapping[str, Any] | None = None
    scale: float | None = None

    @property
    def n_mels(self) -> int | None:
        """How many mels the log-mels have, if that is said."""
        return None if self.frontend is None else self.frontend.get("n_mels")


@dataclass(frozen=True, eq=False)
class Manifest:
    """A data set that has been read and checked.

    Attributes:
        root: the folder or table it was read from.
        format: name of the format it was read as.
        task: ``single`` (one class a clip) or ``multi`` (any number).
        labels: the classes in the order of all targets; sorted unless the caller fixed them.
        clips: in the order of the data set.
        arrays: what the ``.npy`` files hold, if there are any.
        flags: what should be known about the data, with counts.
        notes: what was decided while reading, in plain words.
    """

    root: Path
    format: str
    task: Task
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    arrays: ArraySpec | None = None
    flags: tuple[Flag, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def name(self) -> str:
        """Name of the data set: that of its folder or table."""
        return self.root.stem if self.root.is_file() else self.root.name

    @property
    def is_logmel(self) -> bool:
        """Whether the clips are log-mels already."""
        return self.arrays is not None and self.arrays.kind == "logmel"

    @property
    def negatives(self) -> int:
        """How many clips are negatives."""
        return sum(clip.negative for clip in self.clips)

    @property
    def strong(self) -> int:
        """How many clips have strong labels."""
        return sum(clip.strong for clip in self.clips)

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds in natural order; empty where the data has none."""
        return tuple(sorted({c.fold for c in self.clips if c.fold is not None}, key=natural_key))

    def groups(self) -> list[str]:
        """Return the group of each clip; a clip without one belongs to its file."""
        return [f"group {c.group}" if c.group is not None else f"file {c.key}" for c in self.clips]

    def hard_targets(self) -> FloatArray:
        """Return 1 where a clip has a class, else 0, shape ``(clip, label)``; negatives are all zero."""
        column = {label: i for i, label in enumerate(self.labels)}
        matrix = np.zeros((len(self.clips), len(self.labels)), np.float32)
        for row, clip in enumerate(self.clips):
            matrix[row, [column[label] for label in clip.label]] = 1
        return matrix

    def targets(self) -> FloatArray:
        """Return the labels to learn, shape ``(clip, label)``: hard ones, or soft ones where there are no others."""
        matrix = self.hard_targets()
        for row, clip in enumerate(self.clips):
            if clip.kind == "soft" and clip.targets is not None:
                matrix[row] = clip.targets
        return matrix

    def soft_targets(self) -> tuple[FloatArray, BoolArray]:
        """Return soft labels, shape ``(clip, label)``, zero where absent, and who has them, shape ``(clip,)``."""
        matrix = np.zeros((len(self.clips), len(self.labels)), np.float32)
        present = np.zeros(len(self.clips), np.bool_)
        for row, clip in enumerate(self.clips):
            if clip.targets is not None:
                matrix[row], present[row] = clip.targets, True
        return matrix, present

    def select(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Manifest:
        """Return the manifest of some clips; labels and task stay."""
        return replace(self, clips=tuple(self.clips[int(i)] for i in indices))

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over what the data says and how large its files are; the same on every machine, in any order."""
        digest = hashlib.sha256(json.dumps([self.task, list(self.labels)]).encode())
        for line in sorted(json.dumps(_identity(clip)) for clip in self.clips):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()


def _identity(clip: Clip) -> list[Any]:
    """Return what the data hash holds of a clip: no path of this machine, no floating-point noise."""
    soft = None if clip.targets is None else [rounded(v) for v in clip.targets.tolist()]
    where = [clip.key, clip.onset, clip.offset, clip.size_bytes]
    said = [*where, list(clip.label), clip.negative, soft, clip.fold, clip.split, clip.group]
    if clip.events is None:  # the hash of weak data is that of the time before events
        return said
    return [*said, sorted([e.label, rounded(e.onset), rounded(e.offset)] for e in clip.events)]
