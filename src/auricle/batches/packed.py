# SPDX-License-Identifier: Apache-2.0
"""Changed copies of recordings, made once before training and laid end to end in one memory-mapped file.

The file has no name and goes with the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from auricle.batches.augment.offline import draw_copy, make_copy
from auricle.batches.scene_items import SceneItem
from auricle.data.manifest import Clip
from auricle.errors import InputError
from auricle.recipe.schema import Recipe
from auricle.results import FloatArray
from auricle.synth.mixtures import Mixture


class PackedWaves:
    """Waveforms end to end.

    Args:
        waves: in their order.
        folder: where the nameless file lies, as large as all waves together.
    """

    def __init__(self, waves: Iterable[FloatArray], folder: Path) -> None:
        lengths = []
        with tempfile.TemporaryFile(dir=folder, prefix="pack") as file:
            for wave in waves:
                file.write(np.ascontiguousarray(wave, dtype="<f4").data)
                lengths.append(len(wave))
            file.flush()
            whole = sum(lengths) > 0  # a file of no byte cannot be mapped
            self.samples = np.memmap(file, dtype="<f4", mode="r") if whole else np.zeros(0, np.float32)
        self.ends = np.cumsum([0, *lengths])

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, number: int) -> FloatArray:
        return self.samples[self.ends[number] : self.ends[number + 1]]


class PackedCopies:
    """Copies of the clips of a run, each through a codec or in a room.

    Args:
        clips: of the training part; mixtures and scenes have no copies.
        read: returns the waveform of a clip.
        recipe: how many copies, and what happens to them.
        folder: see ``PackedWaves``.
    """

    def __init__(
        self,
        clips: Sequence[Clip | Mixture | SceneItem],
        read: Callable[[Clip | Mixture], FloatArray],
        recipe: Recipe,
        folder: Path,
    ) -> None:
        self.versions = 1 + recipe.augment.copies
        self.waves = PackedWaves(self._make(clips, read, recipe), folder)

    @staticmethod
    def _make(
        clips: Sequence[Clip | Mixture | SceneItem], read: Callable[[Clip | Mixture], FloatArray], recipe: Recipe
    ) -> Iterator[FloatArray]:
        nothing = np.zeros(0, np.float32)
        for number, clip in enumerate(clips):
            try:
                samples = read(clip) if isinstance(clip, Clip) else nothing
            except (InputError, OSError):
                samples = nothing  # whoever reads the clip itself will say why
            for version in range(1, 1 + recipe.augment.copies):
                plan = draw_copy(recipe.augment, recipe.seed, number, version)
                yield make_copy(samples, recipe.frontend.sample_rate, plan) if len(samples) else nothing

    def read(self, clip: int, variant: float) -> FloatArray | None:
        """Return one version of a clip, by a share in [0, 1) of those there are; None is the recording itself."""
        version = int(variant * self.versions)
        copy = self.waves[clip * (self.versions - 1) + version - 1] if version else None
        return copy if copy is not None and len(copy) else None
