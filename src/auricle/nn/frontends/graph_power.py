# SPDX-License-Identifier: Apache-2.0
"""Power spectra inside an exported graph: a Fourier transform factorised into two products with small matrices.

ONNX has no Fourier transform that every runtime has. One of ``N = rows * columns`` samples is, after Cooley and Tukey
(1965), a transform of each column (samples ``columns * n1 + n2`` of one ``n2``) and then, for each frequency ``k1`` of
those, one over the columns that carries the twiddle factors in its matrix:

    X[k1 + rows k2] = sum_n2 exp(-2 pi i n2 (k1 + rows k2) / N) sum_n1 x[columns n1 + n2] exp(-2 pi i n1 k1 / rows)

Of a real signal, half of the ``k1`` are enough: the others are conjugates. Time is the last axis throughout, so that
both products are large and nothing is transposed in between.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

#: Windows by name: the shift and the length of the period, each in samples, of a window of ``n`` samples. Hann windows
#: are ``sin(pi (t + shift) / period) ** 2``, the sine window is without the square.
_WINDOWS = {"hann": (0.0, 0), "symmetric_hann": (0.0, -1), "sine": (0.5, 0)}


class GraphPower(nn.Module):
    """Waveform ``(batch, sample)`` to power spectra ``(row, batch * frame)`` of the frames that lie within it.

    Args:
        window_samples: length of the window.
        hop_samples: step between frames.
        n_fft: length of the Fourier transform, at least that of the window.
        window: ``hann``, ``symmetric_hann`` (the same from its first sample to its last) or ``sine``.

    Attributes:
        frequencies: the bin of each row, ``(row,)``; -1 for a row that repeats another one's bin.
    """

    sample: Tensor
    row: Tensor
    column: Tensor
    low: Tensor

    def __init__(self, window_samples: int, hop_samples: int, n_fft: int, *, window: str) -> None:
        super().__init__()
        self.window_samples, self.hop_samples, self.n_fft, self.window = window_samples, hop_samples, n_fft, window
        self.rows, self.columns = factors(n_fft, window_samples)
        #: Blocks of ``hop_samples`` that a frame reaches into, beside its first.
        self.more = -(-window_samples // hop_samples) - 1
        self.frequencies = bins_of_rows(n_fft, self.rows, self.columns)
        # Persistent buffers are the graph's own values; from anything else the exporter folds the ramps, and all that
        # is computed from them, into tables.
        self.register_buffer("sample", torch.arange(window_samples))
        self.register_buffer("row", torch.arange(-(-window_samples // self.columns)))
        self.register_buffer("column", torch.arange(self.columns))
        self.register_buffer("low", torch.arange(self.rows // 2 + 1))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the power of each row; samples behind the last whole frame are left out."""
        frames = self._frames(waveform) * self._window()[:, None]
        missing = self.row.shape[0] * self.columns - self.window_samples
        if missing:
            frames = nn.functional.pad(frames, (0, 0, 0, missing))
        first, second = self._tables()
        columns = first @ frames.reshape(self.row.shape[0], -1)
        spectrum = second @ columns.reshape(self.low.shape[0], 2 * self.columns, -1)
        # One sum over an axis in the middle: engines are quicker at it than at cutting parts out and adding them.
        power = (spectrum * spectrum).reshape(self.low.shape[0], 2, -1).sum(1)
        return power.reshape(len(self.frequencies), -1)

    def _frames(self, waveform: Tensor) -> Tensor:
        """Return sample ``n`` of each frame in row ``n``, ``(sample, batch * frame)``."""
        hop = self.hop_samples
        behind = (self.more + 1) * hop - self.window_samples
        if behind:
            waveform = nn.functional.pad(waveform, (0, behind))
        count = waveform.shape[1] // hop
        blocks = waveform[:, : count * hop].reshape(-1, hop).transpose(0, 1)
        if not self.more:
            return blocks[: self.window_samples] if behind else blocks
        blocks = blocks.reshape(hop, waveform.shape[0], -1)
        parts = [
            blocks[: min(hop, self.window_samples - hop * i), :, i : i - self.more or None]
            for i in range(self.more + 1)
        ]
        return torch.cat(parts).flatten(1)

    def _window(self) -> Tensor:
        """Return the window, ``(sample,)``, made of operations that export."""
        shift, longer = _WINDOWS[self.window]
        angle = (self.sample.to(torch.float32) + shift) * (math.pi / (self.window_samples + longer))
        return torch.sin(angle) if self.window == "sine" else torch.sin(angle).square()

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Return the matrices of both transforms, ``(2 low, row)`` and ``(low, 2 column, 2 column)``."""
        angle = _angle(self.low[:, None] * self.row, self.rows)
        first = torch.stack([torch.cos(angle), -torch.sin(angle)], dim=1).flatten(0, 1)
        bins = self.low[:, None] + self.rows * self.column
        angle = _angle(bins[:, :, None] * self.column, self.n_fft)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return first, torch.cat([torch.cat([cosine, sine], dim=2), torch.cat([-sine, cosine], dim=2)], dim=1)


def _angle(steps: Tensor, turn: int) -> Tensor:
    """Return the angle of whole ``steps``, of which ``turn`` make a circle, between minus and plus half a circle.

    It is reduced in whole numbers: cosines of large float32 arguments would lose digits.
    """
    nearest = torch.remainder(steps + turn // 2, turn) - turn // 2
    return nearest.to(torch.float32) * (2 * math.pi / turn)


def mel_power(bank: nn.Module, power: GraphPower, waveform: Tensor) -> Tensor:
    """Return the power of the bands of a bank, ``(batch, mel, frame)``."""
    rows = power(waveform).reshape(len(power.frequencies), waveform.shape[0], -1)
    # The product comes last: the exporter knows the size of what it gives, and not of what was reshaped.
    return torch.as_tensor(bank() @ rows.transpose(0, 1))


def factors(n_fft: int, window_samples: int) -> tuple[int, int]:
    """Return rows and columns of the transform: those with the fewest multiplications.

    >>> factors(400, 400), factors(1024, 800)
    ((25, 16), (64, 16))
    """
    columns = [n for n in range(1, n_fft + 1) if n_fft % n == 0]

    def cost(count: int) -> int:
        low = n_fft // count // 2 + 1
        return 2 * low * -(-window_samples // count) * count + low * (2 * count) ** 2

    best = min(columns, key=cost)
    return n_fft // best, best


def bins_of_rows(n_fft: int, rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Return the bin of each row of the power, and -1 where an earlier row has it.

    >>> bins_of_rows(8, 4, 2).tolist()
    [0, 4, 1, 3, 2, -1]
    """
    bins = (np.arange(rows // 2 + 1)[:, None] + rows * np.arange(columns)).ravel()
    bins = np.minimum(bins, n_fft - bins)
    first = np.unique(bins, return_index=True)[1]
    found = np.full(len(bins), -1)
    found[first] = bins[first]
    return found
