# SPDX-License-Identifier: Apache-2.0
"""Which channels of a recording are taken: one, each by itself, or the mean of all. Channels are counted from 1."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from auricle.errors import InputError, UsageError

#: What is taken: a number from 1 on, each channel by itself, or (None) the mean of all.
Channel = int | Literal["each"] | None
_Block = npt.NDArray[np.floating[Any]]


def read_channel(value: int | str) -> Channel:
    """Return what ``--channel`` says.

    Raises:
        UsageError: neither a number from 1 on, nor ``each`` or ``mix``.

    >>> read_channel("2"), read_channel("each"), read_channel("mix")
    (2, 'each', None)
    """
    if value == "mix":
        return None
    if value == "each":
        return "each"
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise UsageError(f"channel {value!r} is none; give a number from 1 on, each, or mix (the mean of all)")
    return int(text)


def check_channel(channel: int | None) -> int | None:
    """Return the number of a channel; raises ``UsageError`` for what is none. None is the mean of all."""
    found = None if channel is None else read_channel(channel)
    if found == "each":
        raise UsageError("one result is of one channel: each channel by itself is for auricle.scan")
    return found


def require_channel(channel: int | None, channels: int) -> None:
    """Raise ``InputError`` ``no_channel`` where a recording of ``channels`` has no channel of that number."""
    if channel is not None and channel > channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        raise InputError("no_channel", f"it has {has}, and channel {channel} was asked for")


def one_channel(block: _Block, channel: int | None) -> _Block:
    """Return one channel of a block as a block, shape ``(time, 1)``; all of them if None."""
    return block if channel is None else block[:, channel - 1 : channel]
