# SPDX-License-Identifier: Apache-2.0
"""What all stages of a network are like over time, as the embedding of a teacher; and a head on it in one file.

A tagger's last layer has thrown away what does not tell sounds apart: how a voice was made, the channel, the room. Its
stages still have it. Each stage's map is averaged over mel, and of every channel come the mean and the deviation over
time; logistic regression on these is the teacher of the user's own classes.

``teacher.safetensors`` holds weights of the network and of the head, with what they are in its header: plain
tensors, nothing in it can run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.files import atomic_write, sha256_bytes, sha256_file
from auricle.nn.models.efficientat import CHECKPOINT_SUFFIXES
from auricle.nn.modules.efficientat import EfficientAt, from_checkpoint, load_checkpoint, to_checkpoint
from auricle.nn.modules.mobilenet import MobileNet
from auricle.nn.networks import build_network
from auricle.recipe.schema import make_recipe
from auricle.results import FloatArray
from auricle.runtime.bundle import load_bundle
from auricle.runtime.model_names import resolve_model
from auricle.teachers.efficientat import LABELS_FILE, WINDOW_S, read_class_ids, read_class_names
from auricle.teachers.heads import LinearHead
from auricle.teachers.teacher import Answer

WEIGHTS_FILE = "model.safetensors"
#: What ``teach --fit`` writes; the ending by which it is known as a teacher.
TEACHER_FILE, TEACHER_SUFFIX = "teacher.safetensors", ".safetensors"
FORMAT = 1
_HEADER = "auricle.teacher"
ALL = "all"


@dataclass(frozen=True)
class StagedNetwork:
    """A network with MobileNetV3's layers, each of which is a stage.

    Attributes:
        network: in evaluation mode.
        labels: its classes.
        label_ids: the identifier of each class, where classes have one.
        identity: hash of its weights.
        name: for people.
        recipe: of a network that is not a published one.
    """

    network: EfficientAt | MobileNet
    labels: tuple[str, ...]
    label_ids: dict[str, str]
    identity: str
    name: str
    recipe: dict[str, Any] | None = None


def stages_of(network: EfficientAt | MobileNet) -> list[nn.Module]:
    """Return the stages in order: the stem, the residuals, the last convolution."""
    if isinstance(network, EfficientAt):
        return list(network.feature_map)
    return [network.stem, *network.blocks.values(), network.deep]


def parse_stages(text: str, count: int) -> tuple[int, ...]:
    """Return the stages that ``all`` or numbers joined with commas mean.

    Raises:
        UsageError: something else, or a stage that is not there.

    >>> parse_stages("3,0", 17), parse_stages("all", 3)
    ((0, 3), (0, 1, 2))
    """
    if text.strip() == ALL:
        return tuple(range(count))
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 0 or found[-1] >= count:
        raise UsageError(f"--stages {text}: expected all, or numbers from 0 to {count - 1} joined with commas")
    return tuple(found)


def stage_statistics(maps: Sequence[Tensor]) -> Tensor:
    """Return mean and deviation over time of every channel, ``(batch, 2 x channels)``.

    Args:
        maps: of each stage, ``(batch, channel, mel, time)``. They are averaged over mel first. First come the means of
            all stages, then the deviations (of the time steps that there are; not of a sample from more).
    """
    over_time = [x.float().mean(2) for x in maps]
    means = [x.mean(2) for x in over_time]
    deviations = [x.std(2, correction=0) for x in over_time]
    return torch.cat([*means, *deviations], dim=1)


class StageTeacher:
    """See ``teacher.Teacher``: the embedding is the statistics of some stages; scores are a head's, if there is one.

    Args:
        staged: the network.
        stages: numbers of the stages, ascending.
        head: for the user's classes.
        labels: those classes.
    """

    def __init__(
        self,
        staged: StagedNetwork,
        stages: Sequence[int],
        head: LinearHead | None = None,
        labels: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        self.staged, self.stages, self.head = staged, tuple(stages), head
        self.labels = staged.labels if labels is None else tuple(labels)
        numbers = ",".join(map(str, self.stages))
        parts = [staged.identity, numbers, *([] if head is None else [_hash_of(head)])]
        self.identity = sha256_bytes(" ".join(parts).encode())
        self.name = name or f"{staged.name} (stages {numbers})"
        self.sample_rate = staged.network.spec.sample_rate
        self.window_s = WINDOW_S
        self._stages = stages_of(staged.network)
        self.embedding_size = 2 * sum(_channels(self._stages[i]) for i in self.stages)

    def score(self, waveforms: FloatArray) -> Answer:
        """See ``teacher.Teacher.score``."""
        with torch.inference_mode():
            x = self.staged.network.features(torch.from_numpy(np.ascontiguousarray(waveforms, np.float32)))
            x = x[:, None].contiguous(memory_format=torch.channels_last)
            maps = []
            last = len(self._stages) - 1 if self.head is None else self.stages[-1]
            for number, stage in enumerate(self._stages[: last + 1]):
                x = stage(x)
                if number in self.stages:
                    maps.append(x)
            statistics = stage_statistics(maps).numpy()
            if self.head is not None:
                return Answer(self.head(statistics), statistics)
            scores = torch.sigmoid(self.staged.network.head(x.float().mean((2, 3))))
        return Answer(scores.numpy(), statistics)


def _channels(stage: nn.Module) -> int:
    return [m for m in stage.modules() if isinstance(m, nn.Conv2d)][-1].out_channels


def _hash_of(head: LinearHead) -> str:
    arrays = (head.mean, head.scale, head.weight, head.bias)
    return sha256_bytes(head.task.encode() + b"".join(np.ascontiguousarray(a, "<f8").tobytes() for a in arrays))


def open_staged_network(name: str) -> StagedNetwork:
    """Open a published checkpoint of EfficientAT, or a model folder of ``efficientat`` or ``mobilenet``.

    Raises:
        UsageError: it is neither.
    """
    recipe = None
    if Path(name).suffix in CHECKPOINT_SUFFIXES:
        path = Path(name)
        network: nn.Module = load_checkpoint(path)
        labels = read_class_names(path.with_name(LABELS_FILE), int(network.classes))  # type: ignore[arg-type]
        identifiers = read_class_ids(path.with_name(LABELS_FILE))
        identity = sha256_file(path)
    else:
        bundle = load_bundle(resolve_model(name))
        labels, identity = bundle.spec.labels, bundle.spec.sha256.get(WEIGHTS_FILE, "")
        if not identity:
            raise UsageError(f"{name} has no {WEIGHTS_FILE}, so its layers cannot be used")
        recipe = dict(bundle.spec.provenance.recipe or {"model": {"name": bundle.spec.model.name}})
        network = build_network(make_recipe(recipe), len(labels))
        network.load_state_dict({k: v.float() for k, v in load_tensors(bundle.read(WEIGHTS_FILE)).items()})
        identifiers = dict(bundle.spec.label_ids)
    if not isinstance(network, EfficientAt | MobileNet):
        raise UsageError(
            f"{name} is a {type(network).__name__}; only layers of EfficientAT can be taken one by one: give a "
            "published checkpoint (mn*_as*.pt), or a model of efficientat or mobilenet"
        )
    return StagedNetwork(network.eval(), labels, identifiers, identity, Path(name).stem, recipe)


def save_teacher(teacher: StageTeacher, path: Path) -> None:
    """Write a teacher with a head as one file of plain tensors; equal teachers give equal bytes."""
    head, staged = teacher.head, teacher.staged
    if head is None:
        raise ValueError("a teacher without a head is its network")
    network = staged.network
    published = staged.recipe is None
    weights = to_checkpoint(network) if published and isinstance(network, EfficientAt) else network.state_dict()
    tensors = {f"network.{key}": value.contiguous() for key, value in weights.items()}
    arrays = {"mean": head.mean, "scale": head.scale, "weight": head.weight, "bias": head.bias}
    tensors.update({f"head.{key}": torch.from_numpy(np.array(value, np.float64)) for key, value in arrays.items()})
    header = {
        "format": FORMAT,
        "network": staged.name,
        "recipe": staged.recipe,
        "stages": list(teacher.stages),
        "task": head.task,
        "labels": list(teacher.labels),
        "network_labels": list(staged.labels),
        "network_identity": staged.identity,
    }
    atomic_write(path, save(tensors, {_HEADER: json.dumps(header, sort_keys=True)}))


def open_stage_teacher(path: Path) -> StageTeacher:
    """Open what ``save_teacher`` wrote.

    Raises:
        UsageError: there is no such file, or it is no teacher.
    """
    if not path.is_file():
        raise UsageError(f"teacher {path}: no such file; `auricle teach --stages all --fit` writes one")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "null"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"teacher {path} cannot be read: {' '.join(str(error).split())[:120]}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = "no teacher" if not isinstance(header, dict) else f"a teacher of format {header.get('format')!r}"
        raise UsageError(f"{path} holds {found}; expected what `auricle teach --stages all --fit` wrote")
    weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    labels = tuple(header["network_labels"])
    if header["recipe"] is None:
        network: nn.Module = from_checkpoint(weights)
    else:
        network = build_network(make_recipe(header["recipe"]), len(labels))
        network.load_state_dict(weights)
    if not isinstance(network, EfficientAt | MobileNet):
        raise UsageError(f"{path} holds a {type(network).__name__}; expected layers of EfficientAT")
    mean, scale, weight, bias = (tensors[f"head.{key}"].numpy() for key in ("mean", "scale", "weight", "bias"))
    head = LinearHead(header["task"], mean, scale, weight, bias)
    staged = StagedNetwork(network.eval(), labels, {}, header["network_identity"], header["network"], header["recipe"])
    return StageTeacher(staged, header["stages"], head, header["labels"], name=path.stem)
