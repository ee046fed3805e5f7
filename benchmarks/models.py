# SPDX-License-Identifier: Apache-2.0
"""Which model is measured: a given one, the built-in one, or an untrained one of the default shape."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from auricle.runtime.model_names import DEFAULT_MODEL, builtin_models


def arguments(description: str | None) -> argparse.Namespace:
    """Read the options that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", help=f"model folder or name (default: {DEFAULT_MODEL}, else an untrained CRNN)")
    parser.add_argument("--quick", action="store_true", help="few and short runs: does the script work?")
    return parser.parse_args()


@contextmanager
def chosen_model(name: str | None) -> Iterator[str]:
    """Give the model to measure; speed does not depend on what the weights have learnt."""
    if name is not None or DEFAULT_MODEL in builtin_models():
        yield DEFAULT_MODEL if name is None else name
        return
    with TemporaryDirectory() as folder:
        yield str(untrained(Path(folder)))


def untrained(folder: Path, *overrides: str) -> Path:
    """Make a model of the default recipe with ten labels, which has seen two clips of each for one step."""
    import numpy as np
    import soundfile

    from auricle import api

    noise = np.random.default_rng(0).normal(0, 0.1, (20, 80_000)).astype(np.float32)
    for i, clip in enumerate(noise):
        place = folder / "clips" / f"class{i // 2}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{i}.wav", clip, 16_000)
    quick = ["optim.epochs=1", "data.workers=0", "data.dev_fraction=0.5", *overrides]
    return Path(api.train(folder / "clips", out=folder / "untrained", model="crnn", overrides=quick).path)
