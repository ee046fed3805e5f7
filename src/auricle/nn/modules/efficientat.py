# SPDX-License-Identifier: Apache-2.0
"""EfficientAT: MobileNetV3 on log-mels, the small taggers that were distilled from transformers on AudioSet.

Written from the papers: MobileNetV3-Large (Howard et al., "Searching for MobileNetV3", 2019, table 1) as Schmid,
Koutini and Widmer use it ("Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge Distillation",
2023). Modules carry the names of the published checkpoints, so these load strictly by key.

    log-mel (batch, 1, mel, frame) -> conv / 2 -> 15 inverted residuals, strides 2 at four of them -> conv
      -> mean over mel and time = embedding -> linear, hard-swish, linear = logits
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auricle.errors import BundleError, UsageError
from auricle.nn.frontends.kaldi_mel import SCALE, GraphKaldiMel, KaldiMel, KaldiMelSpec
from auricle.nn.network import Network, NetworkOutput
from auricle.nn.tracing import tracing
from auricle.timeline import Layer, frame_grid

#: Table 1 of the paper: (kernel, expanded, out, squeeze-and-excite, hard-swish, stride) of each residual at width 1.
RESIDUALS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
STEM, HIDDEN = 16, 1280
#: Log-mel frames that a step of the last feature map stands for.
TIME_STRIDE = 32
#: Share of the way that running statistics of batch norms move in a step, at the least.
SLOWEST = 0.01


def divisible(channels: float) -> int:
    """Round a channel count to a multiple of 8, never down by more than a tenth (the paper's rule).

    >>> [divisible(c) for c in (6.4, 9.6, 25.6, 512)]
    [8, 16, 24, 512]
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class SlowNorm(nn.BatchNorm2d):
    """Batch norm whose running statistics move a hundredth of the way a step, as in the published checkpoints.

    Of fewer than a hundred batches they are the mean. A network that begins at random would else be judged for hundreds
    of steps by the variance of 1 that a norm begins with: trained for 300, one named 80 % of clips by the statistics of
    their batch, and one and the same class by these.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``(batch, channel, mel, time)``; in training, by the batch's own statistics."""
        if self.training and self.num_batches_tracked is not None and self.momentum != SLOWEST:  # asking a GPU waits
            self.momentum = max(SLOWEST, 1 / (1 + int(self.num_batches_tracked)))
        return super().forward(input)


def conv_norm_act(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, act: nn.Module
) -> nn.Sequential:
    """Convolution, batch norm, activation; the padding keeps ``T`` steps at ``ceil(T / stride)``."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, SlowNorm(outputs, eps=1e-3), act)


class SqueezeExcitation(nn.Module):
    """Scale each channel by what all of them say on average (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = divisible(channels // 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, mel, time)`` to the same shape."""
        scale = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))
        return x * scale[:, :, None, None]


class _Excitations(nn.Module):
    """Holds one excitation under the name that the checkpoints have for a list of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.conc_se_layers[0](x))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, squeeze and excite, project; with a skip where the shape stays."""

    def __init__(
        self, inputs: int, kernel: int, expanded: int, outputs: int, *, se: bool, hs: bool, stride: int
    ) -> None:
        super().__init__()
        act = nn.Hardswish if hs else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers.append(conv_norm_act(inputs, expanded, 1, act=act()))
        layers.append(conv_norm_act(expanded, expanded, kernel, stride=stride, groups=expanded, act=act()))
        if se:
            layers.append(_Excitations(expanded))
        layers.append(conv_norm_act(expanded, outputs, 1, act=nn.Identity()))
        self.block = nn.Sequential(*layers)
        self.skip = stride == 1 and inputs == outputs

    def replace_excitation(self, other: nn.Module) -> None:
        """Put another module of the same weights in the place of squeeze-and-excitation."""
        held = next(layer for layer in self.block if isinstance(layer, _Excitations))
        held.conc_se_layers[0] = other

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, mel, time)`` to the block's channels and stride."""
        y = torch.as_tensor(self.block(x))
        return x + y if self.skip else y


def mobile_layers(width: float, residuals: int) -> tuple[list[nn.Module], int, list[Layer]]:
    """Return the stem and the first residuals, their output channels, and each layer as time sees it."""
    channels = divisible(STEM * width)
    layers: list[nn.Module] = [conv_norm_act(1, channels, 3, stride=2, act=nn.Hardswish())]
    time = [Layer(3, 2, 1)]
    for kernel, expanded, outputs, se, hs, stride in RESIDUALS[:residuals]:
        wide, out = divisible(expanded * width), divisible(outputs * width)
        layers.append(InvertedResidual(channels, kernel, wide, out, se=se, hs=hs, stride=stride))
        time.append(Layer(kernel, stride, (kernel - 1) // 2))
        channels = out
    return layers, channels, time


class EfficientAt(Network):
    """A MobileNetV3 tagger; see the module's docstring for its shape.

    Args:
        frontend: the log-mel specification.
        labels: number of classes.
        width: multiplies all channel counts; 0.4 is the published mn04.
        dropout: before the last layer.
    """

    head: nn.Sequential

    def __init__(self, frontend: KaldiMelSpec, labels: int, *, width: float = 0.4, dropout: float = 0.2) -> None:
        super().__init__()
        self.spec, self.width, self.classes = frontend, width, labels
        self.frontend = KaldiMel(frontend)
        layers, channels, time = mobile_layers(width, len(RESIDUALS))
        self.embedding_size = 6 * channels
        layers.append(conv_norm_act(channels, self.embedding_size, 1, act=nn.Hardswish()))
        self.feature_map = nn.Sequential(*layers)
        hidden = divisible(HIDDEN * width)
        self.head = nn.Sequential(
            nn.Linear(self.embedding_size, hidden), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(hidden, labels)
        )
        self.grid = frame_grid([frontend.layer(), *time])
        self.log_scale = 1 / SCALE

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of a log-mel, which training may have masked."""
        x = features[:, None]
        if not tracing():
            x = x.contiguous(memory_format=torch.channels_last)
        embedding = self.feature_map(x).float().mean((2, 3))
        with torch.autocast(features.device.type, enabled=False):
            return NetworkOutput(self.head(embedding), None, embedding)

    def for_export(self) -> EfficientAt:
        """Swap the front end for the form that exports; returns self, in evaluation mode."""
        self.frontend = GraphKaldiMel(self.spec)
        return self.eval()


#: Where the parts of a published checkpoint lie here.
_PLACES = {"features.": "feature_map.", "classifier.2.": "head.0.", "classifier.5.": "head.3."}


def _renamed(weights: Mapping[str, Tensor], places: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the tensors with the beginnings of their names replaced."""
    found = {}
    for key, value in weights.items():
        old = next((place for place in places if key.startswith(place)), "")
        found[places.get(old, "") + key.removeprefix(old)] = value
    return found


def to_checkpoint(network: EfficientAt) -> dict[str, Tensor]:
    """Return the weights under the names of the published checkpoints."""
    own = {k: v for k, v in network.state_dict().items() if not k.startswith("frontend.")}
    return _renamed(own, {new: old for old, new in _PLACES.items()})


def from_checkpoint(weights: Mapping[str, Tensor]) -> EfficientAt:
    """Build the network of a published checkpoint, strictly by key, in evaluation mode.

    Raises:
        UsageError: a tensor is missing, of another shape, or one too many.
    """
    hidden = weights.get("classifier.2.weight")
    if hidden is None or "features.0.0.weight" not in weights:
        raise UsageError(
            "these weights are no EfficientAT checkpoint: no features.0.0.weight and classifier.2.weight among "
            f"{len(weights)} tensors, the first is {next(iter(weights), 'none')}; take one of the mn*_as checkpoints"
        )
    width = hidden.shape[0] / HIDDEN
    network = EfficientAt(KaldiMelSpec(), len(weights.get("classifier.5.bias", ())), width=width)
    try:
        network.load_state_dict(_renamed(weights, _PLACES))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            f"this EfficientAT checkpoint is of another architecture (width {width:g}): {reason}"
        ) from error
    return network.eval()


def load_checkpoint(path: str | Path) -> EfficientAt:
    """Read a published checkpoint; only plain tensors are unpickled, so nothing in the file can run.

    Raises:
        UsageError: there is no such file, or it is no checkpoint of EfficientAT.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file; a published checkpoint is mn04_as_mAP_432.pt")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"{path} holds no plain tensors ({reason}); a checkpoint is a table of tensors") from error
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise UsageError(
            f"{path} holds no plain tensors (found {type(weights).__name__}); a checkpoint is a table of tensors"
        )
    return from_checkpoint(weights)


def take_published(network: Any, path: str, labels: int, *, new_head: bool, kept: tuple[str, ...]) -> None:
    """Load weights of a published checkpoint into a network that has some of its layers.

    Args:
        network: with a ``spec`` and a ``width`` as ``EfficientAt`` has them.
        path: of the checkpoint.
        labels: number of classes.
        new_head: the last layer stays as it is; without it nothing can be loaded, since the classes are others.
        kept: how the names of the weights begin that are loaded.

    Raises:
        BundleError: ``new_head`` is missing, or the checkpoint is of another width or front end.
    """
    published = load_checkpoint(path)
    if not new_head:
        raise BundleError(
            f"{path} knows {published.classes} classes of AudioSet, the data has {labels}: "
            "pass --new-head to train a new last layer"
        )
    if network.spec != published.spec or network.width != published.width:
        raise BundleError(
            f"{path} has width {published.width:g} and {published.spec}; the recipe asks for {network.width:g} and "
            f"{network.spec}: set model.width={published.width:g} and leave the front end as it is"
        )
    own = network.state_dict()
    taken = {k: v for k, v in published.state_dict().items() if k in own and k.startswith(kept)}
    network.load_state_dict({**own, **taken})
