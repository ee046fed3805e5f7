# SPDX-License-Identifier: Apache-2.0
"""Networks made ready for engines that keep channels in blocks of sixteen: scores stay, and less is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
    blocks = dict(network.blocks.items())
    first, second = blocks.get("0"), blocks.get("1")
    stem, norm, act = network.stem
    channels = stem.out_channels
    if first is None or second is None or 2 * channels > BLOCK or len(first.block) != 2 or len(second.block) != 3:
        return
    filters, narrow, expand = (fuse_conv_bn_eval(layer[0], layer[1]) for layer in (*first.block, second.block[0]))
    with torch.no_grad():
        once = fuse_conv_bn_eval(stem, norm)
        twice = nn.Conv2d(1, 2 * channels, once.kernel_size, once.stride, once.padding)
        twice.weight.copy_(once.weight.repeat(2, 1, 1, 1))
        twice.bias.copy_(once.bias.repeat(2))
        both = nn.Conv2d(2 * channels, 2 * channels, 3, 1, 1, groups=2 * channels)
        both.weight.zero_()
        both.weight[:channels, :, 1, 1] = 1
        both.weight[channels:] = filters.weight
        both.bias.copy_(torch.cat([torch.full((channels,), _LIFT), filters.bias]))
        matrix, inner = expand.weight[:, :, 0, 0].double(), narrow.weight[:, :, 0, 0].double()
        wide = nn.Conv2d(2 * channels, len(matrix), 1)
        wide.weight.copy_(torch.cat([matrix, matrix @ inner], 1)[:, :, None, None])
        wide.bias.copy_(expand.bias.double() + matrix @ (narrow.bias.double() - _LIFT))
    network.stem = nn.Sequential(twice, act)
    network.blocks["0"] = nn.Sequential(both, nn.ReLU())
    second.block[0] = nn.Sequential(wide, second.block[0][2])


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
