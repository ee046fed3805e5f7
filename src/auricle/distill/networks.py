# SPDX-License-Identifier: Apache-2.0
"""Networks that can teach a student cut out of them: those with MobileNetV3's layers and a map over time at the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import onnxruntime
import torch
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.exporting.onnx import trace
from auricle.nn.modules.efficientat import EfficientAt
from auricle.nn.modules.mobilenet import MobileNet, take_weights
from auricle.nn.networks import build_network
from auricle.recipe.schema import Recipe
from auricle.teachers.stages import StagedNetwork, open_staged_network


@dataclass(frozen=True)
class StagedTeacher(StagedNetwork):
    """A teacher whose stages a student may keep."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.network.spec.sample_rate

    @property
    def head(self) -> nn.Sequential:
        """From an embedding to logits."""
        return self.network.head

    def deep_map(self, waveform: Tensor) -> Tensor:
        """Return the map whose mean over time is the embedding, ``(batch, dimension, step)``."""
        with torch.inference_mode():
            features = self.network.features(waveform).numpy()
        return torch.from_numpy(self._engine.run(None, {"features": features})[0])

    @cached_property
    def _engine(self) -> onnxruntime.InferenceSession:
        """The layers up to the map in ONNX Runtime, which needs a quarter of torch's time for them."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        content = trace(
            _DeepMap(self.network).eval(),  # the exporter gives all modules the mode of this one
            {"features": torch.zeros(1, self.network.spec.n_mels, 128)},
            {"features": {0: "batch", 2: "frame"}, "deep": {0: "batch", 2: "step"}},
        )
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class _DeepMap(nn.Module):
    """From log-mels to the last map, averaged over mel."""

    def __init__(self, network: EfficientAt | MobileNet) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, features: Tensor) -> Tensor:
        if isinstance(self.network, MobileNet):
            return self.network.maps(features)[0]
        return torch.as_tensor(self.network.feature_map(features[:, None]).mean(2))


def student_of(teacher: StagedTeacher, recipe: Recipe) -> MobileNet:
    """Return the student that a recipe describes, with the teacher's weights.

    Raises:
        UsageError: the recipe asks for another width, or keeps a residual that the teacher does not have.
    """
    student = build_network(recipe, len(teacher.labels))
    source = teacher.network
    if not isinstance(student, MobileNet):
        raise UsageError(f"network {recipe.model.name} cannot be cut out of a teacher; take mobilenet")
    if student.width != source.width:
        raise UsageError(f"model.width {student.width:g} is not the teacher's {source.width:g}: its weights do not fit")
    if isinstance(source, EfficientAt):
        take_weights(student, source)
        return student
    absent = sorted(set(student.residuals) - set(source.residuals))
    if absent:
        raise UsageError(f"the teacher has no residual {absent[0]}; it has {', '.join(map(str, source.residuals))}")
    if student.spec != source.spec:
        raise UsageError(
            f"a student of a mobilenet has its front end: {source.spec}; the recipe asks for {student.spec}"
        )
    weights, own = source.state_dict(), student.state_dict()
    same = student.head[0].weight.shape == source.head[0].weight.shape
    own.update({name: weights[name] for name in own if same or not name.startswith("head.")})
    student.load_state_dict(own)
    return student


def open_staged_teacher(name: str) -> StagedTeacher:
    """Open a teacher whose stages a student may keep; see ``teachers.stages.open_staged_network``."""
    found = open_staged_network(name)
    return StagedTeacher(found.network, found.labels, found.label_ids, found.identity, found.name, found.recipe)
