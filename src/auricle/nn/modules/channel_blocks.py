# SPDX-License-Identifier: Apache-2.0
"""Networks made ready for engines that keep channels in blocks of sixteen: scores stay, and less is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from auricle.nn.modules.efficientat import InvertedResidual
from auricle.nn.modules.excitation import RunningExcitation

if TYPE_CHECKING:
    from auricle.nn.modules.mobilenet import MobileNet

#: Channels that an engine keeps side by side.
BLOCK = 16
#: The least value of hard-swish is -3/8: with so much added, a rectifier lets all of it pass.
_LIFT = 0.375


def fold_residual(network: MobileNet) -> None:
    """Let the first residual go on to the second one's expansion at once, where both fit a block side by side.

    The first residual gives ``x + P r(x)``, of filtered channels ``r(x)``, and only the expansion of the second reads
    it: ``E (x + P r(x)) = [E, E P] [x, r(x)]``. The stem gives its channels twice, the filter of the first copy is one
    that passes them on, and of two products with matrices one is left.

    Args:
        network: in evaluation mode; nothing happens if it has no such residuals.
    """
    residuals = {name: cast(InvertedResidual, module) for name, module in network.blocks.items()}
    first, second = residuals.get("0"), residuals.get("1")
    if first is None or second is None or len(first.block) != 2 or len(second.block) != 3:
        return
    (stem, filters, narrow, expand) = map(_merged, (network.stem, *first.block, second.block[0]))
    channels = stem.out_channels
    if 2 * channels > BLOCK:
        return
    twice = _convolution(torch.cat([stem.weight] * 2), torch.cat([_bias(stem)] * 2), stride=2, padding=1)
    passing = torch.zeros_like(filters.weight)
    passing[:, :, 1, 1] = 1
    lift = torch.full((channels,), _LIFT)
    both = _convolution(
        torch.cat([passing, filters.weight]), torch.cat([lift, _bias(filters)]), padding=1, groups=2 * channels
    )
    matrix, inner = (conv.weight[:, :, 0, 0].double() for conv in (expand, narrow))
    weight = torch.cat([matrix, matrix @ inner], 1)[:, :, None, None]
    wide = _convolution(weight, _bias(expand).double() + matrix @ (_bias(narrow).double() - _LIFT))
    network.stem = nn.Sequential(twice, network.stem[2])
    network.blocks["0"] = nn.Sequential(both, nn.ReLU())
    second.block[0] = nn.Sequential(wide, cast(nn.Sequential, second.block[0])[2])


def _merged(layer: nn.Module) -> nn.Conv2d:
    """Return the convolution of a layer with the norm behind it, without gradients."""
    parts = cast(nn.Sequential, layer)
    return fuse_conv_bn_eval(cast(nn.Conv2d, parts[0]), cast(nn.BatchNorm2d, parts[1])).requires_grad_(False)


def _bias(conv: nn.Conv2d) -> Tensor:
    return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias


def _convolution(weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    """Return a convolution with these weights."""
    rows, columns, *kernel = weight.shape
    conv = nn.Conv2d(columns * groups, rows, (kernel[0], kernel[1]), stride, padding, groups=groups)
    conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return conv.requires_grad_(False)


def fill_blocks(network: nn.Module) -> None:
    """Give layers of fewer than ``BLOCK`` channels as many, all zero: scores stay, and the engine is faster.

    Engines keep channels in blocks, and have slow ways only for convolutions that read less than one.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            inputs = BLOCK - module.in_channels if module.groups == 1 < module.in_channels else 0
            module.weight = _fill(module.weight, BLOCK - module.out_channels, inputs)
            module.groups = len(module.weight) if module.groups > 1 else 1
        elif isinstance(module, nn.BatchNorm2d):
            more = BLOCK - module.num_features
            module.weight, module.bias = _fill(module.weight, more), _fill(module.bias, more)
            for name in ("running_mean", "running_var"):
                setattr(module, name, _fill(getattr(module, name), more).data)
        elif isinstance(module, RunningExcitation):
            squeezed, channels = BLOCK - module.fc1.out_features, BLOCK - module.fc1.in_features
            for layer, rows, columns in ((module.fc1, squeezed, channels), (module.fc2, channels, squeezed)):
                layer.weight, layer.bias = _fill(layer.weight, rows, columns), _fill(layer.bias, rows)


def _fill(values: Tensor, rows: int, columns: int = 0) -> nn.Parameter:
    """Return values with so many more rows, and columns, of zeros; none if a number is negative."""
    behind = [0, 0] * (values.ndim - 2) + [0, max(0, columns)] * (values.ndim > 1) + [0, max(0, rows)]
    return nn.Parameter(nn.functional.pad(values.data, behind), requires_grad=False)
