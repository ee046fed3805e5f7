# SPDX-License-Identifier: Apache-2.0
"""From the name of a teacher to the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from auricle.errors import UsageError
from auricle.nn.models.efficientat import CHECKPOINT_SUFFIXES
from auricle.registry import Registry
from auricle.runtime.catalogue import source_of_name
from auricle.runtime.model_names import resolve_model
from auricle.teachers.average import AverageTeacher
from auricle.teachers.efficientat import open_efficientat
from auricle.teachers.hub import CONFIG_FILE, PREFIX, open_hub
from auricle.teachers.onnx import open_bundle_teacher, open_graph
from auricle.teachers.stages import (
    TEACHER_SUFFIX,
    StageTeacher,
    open_stage_teacher,
    open_staged_network,
    parse_stages,
    stages_of,
)
from auricle.teachers.teacher import Teacher

#: Joins the names of several teachers.
SEPARATOR = ","


class Opener(Protocol):
    """Opens the teachers of one kind."""

    def __call__(self, name: str, *, download: bool, bf16: bool, threads: int) -> Teacher:
        """Open the teacher that ``KIND:name`` names; arguments as of ``open_teacher``."""
        ...


#: Kinds of teachers that installed packages add: ``--teacher KIND:NAME``.
TEACHERS: Registry[Opener] = Registry(
    "kind of teacher",
    group="auricle.teachers",
    accepts=lambda _name, item: "" if callable(item) else "it is not a function that opens a teacher",
)


def open_stages(name: str, stages: str) -> StageTeacher:
    """Open a network whose embedding is to be the statistics of its stages.

    Args:
        name: a ``.pt`` checkpoint of EfficientAT, or a model of ``efficientat`` or ``mobilenet``.
        stages: ``all``, or numbers joined with commas.

    Raises:
        UsageError: no such network, or no such stage.
    """
    staged = open_staged_network(name)
    return StageTeacher(staged, parse_stages(stages, len(stages_of(staged.network))))


def open_teacher(name: str, *, download: bool = False, bf16: bool = False, threads: int = 1) -> Teacher:
    """Open a teacher, or the average of several joined with commas.

    Args:
        name: ``hf:org/name`` or a folder of transformers; a ``.pt`` checkpoint of EfficientAT; an ``.onnx`` tagger
            with its ``.json``; a ``teacher.safetensors``; a model folder of auricle, or the name of a built-in one;
            a name of ``auricle models list`` that was fetched; ``KIND:NAME``, where an installed package opens teachers
            of that kind (entry points ``auricle.teachers``).
        download: fetch ``hf:org/name`` if it is not on this machine.
        bf16: compute in bf16, where the teacher runs in torch.
        threads: of ONNX Runtime, for teachers that run there.

    Raises:
        UsageError: there is no such teacher; says what was tried.
    """
    names = [part.strip() for part in name.split(SEPARATOR) if part.strip()]
    if len(names) > 1:
        return AverageTeacher([open_teacher(n, download=download, bf16=bf16, threads=threads) for n in names])
    name = source_of_name(name)
    kind, colon, rest = name.partition(":")
    if colon and kind in TEACHERS:
        return TEACHERS.get(kind)(rest, download=download, bf16=bf16, threads=threads)
    path = Path(name)
    if name.startswith(PREFIX) or (path / CONFIG_FILE).is_file():
        return open_hub(name, download=download, bf16=bf16)
    if path.suffix in CHECKPOINT_SUFFIXES:
        return open_efficientat(path, bf16=bf16)
    if path.suffix == TEACHER_SUFFIX:
        return open_stage_teacher(path)
    if path.suffix == ".onnx":
        return open_graph(path, threads=threads)
    if ("/" in name or path.exists()) and not (path / "auricle.json").is_file():
        found = "it holds neither config.json nor auricle.json" if path.is_dir() else "no such folder"
        raise UsageError(
            f"teacher {name}: {found}; expected hf:org/name, a folder of transformers, a .pt checkpoint of "
            "EfficientAT, an .onnx tagger, a model of auricle" + "".join(f", {kind}:NAME" for kind in TEACHERS)
        )
    return open_bundle_teacher(resolve_model(name), threads=threads)
