# SPDX-License-Identifier: Apache-2.0
"""Mel filter banks, by the name of the convention they follow.

Two conventions are in use and give different numbers, so they carry their names:

- ``slaney``: the scale of Slaney's Auditory Toolbox (linear below 1 kHz, logarithmic above), triangles
  drawn over frequency, area normalised. This is librosa's default (``htk=False, norm="slaney"``).
- ``kaldi``: mel = 1127 ln(1 + f / 700) (the HTK scale), triangles drawn over *mel*, peaks of 1, as in
  Kaldi's ``mel-computations.cc``; the AST and EfficientAT teachers were trained on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from auricle.audio.melscale import Float64, hz_to_mel_htk, hz_to_mel_slaney, mel_to_hz_slaney
from auricle.errors import UsageError
from auricle.results import FloatArray
from auricle.timeline import seconds_to_samples

if TYPE_CHECKING:
    from auricle.recipe.schema import FrontendSection


def _slaney_positions(bins_hz: Float64, n_mels: int, f_min: float, f_max: float) -> tuple[Float64, Float64]:
    """Triangles over frequency, each of area 1 (in Hz)."""
    edges = mel_to_hz_slaney(np.linspace(hz_to_mel_slaney(f_min), hz_to_mel_slaney(f_max), n_mels + 2))
    return np.interp(bins_hz, edges, np.arange(-1.0, n_mels + 1)), 2.0 / (edges[2:] - edges[:-2])


def _kaldi_positions(bins_hz: Float64, n_mels: int, f_min: float, f_max: float) -> tuple[Float64, Float64]:
    """Triangles over mel with peaks of 1; the Nyquist bin is left out, as Kaldi does."""
    edges = np.linspace(hz_to_mel_htk(f_min), hz_to_mel_htk(f_max), n_mels + 2)
    positions = np.interp(hz_to_mel_htk(bins_hz), edges, np.arange(-1.0, n_mels + 1))
    positions[-1] = -1
    return positions, np.ones(n_mels)


_POSITIONS = {"slaney": _slaney_positions, "kaldi": _kaldi_positions}


def mel_positions(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, convention: str = "slaney"
) -> tuple[Float64, Float64]:
    """Return where each bin lies among the bands, and how high the triangles are: all that a bank is made of.

    Neighbouring triangles meet at each other's peaks, so a bin between the peaks of bands 3 and 4 lies at 3 + x, and
    counts 1 - x in band 3 and x in band 4. Bins outside all triangles lie at -1 or ``n_mels``.

    Args:
        sample_rate: in Hz.
        n_fft: length of the Fourier transform in samples.
        n_mels: number of bands.
        f_min: lowest edge in Hz.
        f_max: highest edge in Hz, at most half the sample rate.
        convention: ``slaney`` or ``kaldi``; see the module's docstring.

    Returns:
        Positions ``(n_fft // 2 + 1,)`` and heights ``(mel,)``.

    Raises:
        UsageError: if the convention is unknown.
    """
    if convention not in _POSITIONS:
        raise UsageError(f"mel convention {convention!r} is unknown; known: {', '.join(sorted(_POSITIONS))}")
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    return _POSITIONS[convention](bins_hz, n_mels, f_min, f_max)


def mel_bank(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, convention: str = "slaney"
) -> FloatArray:
    """Return the filter bank, shape ``(mel, n_fft // 2 + 1)``, float32; arguments as for ``mel_positions``.

    Raises:
        UsageError: if the convention is unknown, or a band is so narrow that no bin falls into it.
    """
    positions, heights = mel_positions(sample_rate, n_fft, n_mels, f_min, f_max, convention)
    bank: Float64 = np.maximum(0, 1 - np.abs(positions - np.arange(n_mels)[:, None])) * heights[:, None]
    empty = np.flatnonzero(bank.max(axis=1) == 0)
    if len(empty):
        raise UsageError(
            f"{n_mels} mel bands from {f_min:g} to {f_max:g} Hz leave band {empty[0]} without a frequency bin "
            f"(bins are {sample_rate / n_fft:.1f} Hz apart); use fewer bands or a longer window"
        )
    return bank.astype(np.float32)


class GraphMelBank(nn.Module):
    """The same bank, made inside an exported graph: twelve bytes a bin, where a table has four for each bin and band.

    Args:
        positions, heights: of ``mel_positions``; the bins may be in any order.
        gains: a factor of each bin, ``(bin,)``; without, all are 1.
    """

    nearest: Tensor
    rest: Tensor
    heights: Tensor
    band: Tensor
    gains: Tensor | None

    def __init__(self, positions: Float64, heights: Float64, gains: Float64 | None = None) -> None:
        super().__init__()
        nearest = np.round(positions)
        # Persistent: the exporter would fold a constant, and all that is computed from it, into a table. Whole numbers
        # and the rest apart: a float32 of 100.123 has lost digits that one of 0.123 has.
        self.register_buffer("nearest", torch.from_numpy(nearest.astype(np.int64)))
        self.register_buffer("rest", torch.from_numpy((positions - nearest).astype(np.float32)))
        self.register_buffer("heights", torch.from_numpy(heights.astype(np.float32)))
        self.register_buffer("band", torch.arange(len(heights)))
        self.register_buffer("gains", None if gains is None else torch.from_numpy(gains.astype(np.float32)))

    def forward(self) -> Tensor:
        """Return the bank ``(mel, bin)``."""
        away = (self.nearest[None, :] - self.band[:, None]).to(torch.float32) + self.rest
        bank = (1 - away.abs()).clamp_min(0) * self.heights[:, None]
        return bank if self.gains is None else bank * self.gains


@dataclass(frozen=True)
class MelSpec:
    """What defines a log-mel front end, whatever its padding and its logarithm; stored in the bundle.

    Attributes:
        sample_rate: Hz.
        n_mels: bands.
        window_ms: length of the Hann window in milliseconds.
        hop_ms: step in milliseconds.
        f_min: lowest mel edge in Hz.
        f_max: highest mel edge in Hz; half the sample rate if None.
        convention: of the filter bank.
    """

    sample_rate: int
    n_mels: int
    window_ms: float
    hop_ms: float
    f_min: float
    f_max: float | None
    convention: ClassVar[str]

    @classmethod
    def of(cls, frontend: FrontendSection) -> Self:
        """Return the front end that a recipe asks for."""
        f = frontend
        return cls(f.sample_rate, f.n_mels, f.window_ms, f.hop_ms, f.f_min, f.f_max)

    @property
    def window_samples(self) -> int:
        """Window length in samples."""
        return seconds_to_samples(self.window_ms / 1000, self.sample_rate)

    @property
    def hop_samples(self) -> int:
        """Step between frames in samples."""
        return seconds_to_samples(self.hop_ms / 1000, self.sample_rate)

    @property
    def n_fft(self) -> int:
        """Length of the Fourier transform in samples."""
        raise NotImplementedError

    def bank(self) -> Tensor:
        """Return the filter bank, shape ``(mel, bin)``."""
        return torch.from_numpy(mel_bank(*self._bands()))

    def graph_bank(self, bins: npt.NDArray[np.int64], gains: Float64 | None = None) -> GraphMelBank:
        """Return what makes the filter bank inside an exported graph.

        Args:
            bins: the bin of each column; -1 for one that counts in no band.
            gains: a factor of each bin of the spectrum.
        """
        positions, heights = mel_positions(*self._bands())
        columns = np.where(bins < 0, -1.0, positions[bins])
        return GraphMelBank(columns, heights, None if gains is None else gains[bins])

    def _bands(self) -> tuple[int, int, int, float, float, str]:
        f_max = self.sample_rate / 2 if self.f_max is None else self.f_max
        return self.sample_rate, self.n_fft, self.n_mels, self.f_min, f_max, self.convention
