# SPDX-License-Identifier: Apache-2.0
"""One trained model for each registered network and head, made once, also where test files run side by side."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.toydata import RATE, name_of, sound, tiny_of, usable, variants, write_folders
from safetensors.torch import load as load_tensors

from auricle import api
from auricle.nn.networks import NETWORKS, Network, build_network
from auricle.recipe.schema import Recipe, make_recipe
from auricle.runtime.bundle import Bundle, load_bundle
from auricle.runtime.detector import Detector, load

#: A registered network with a head: every one must obey every law. Tasks, padding and aggregation vary with them.
CASES = {name_of(network, options): (network, options) for network in NETWORKS for options in variants(network)}
#: A model of the same clips that nothing trained: new last layers for the built-in model.
ENROLLED = "enrolled"


@dataclass(frozen=True)
class Model:
    """A model folder, and the network that it was made from.

    ``tolerance`` is how far scores of torch and ONNX Runtime may be apart. The built-in model's graph has its norms
    merged into weights of eleven bits (``exporting.half``), so what is enrolled on it differs by more than the rest.
    ``frames`` is the task of frame scores.
    """

    path: Path
    bundle: Bundle
    detector: Detector
    recipe: Recipe
    tolerance: float = 1e-4
    frames: str = "multi"

    def network(self) -> Network:
        """Return the network as training left it."""
        network = build_network(self.recipe, len(self.bundle.spec.labels))
        network.load_state_dict(load_tensors(self.bundle.read("model.safetensors")))
        return network.eval()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Torch on one thread while these tests run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """The clips that every case is trained on."""
    return write_folders(tmp_path_factory.mktemp("laws") / "clips", clips=4, labels=("low", "high", "other"))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all processes of this test run have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained-for-laws"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other processes out meanwhile."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def models(shared_folder, clips):
    """Train a few steps of every case, or enrol, when it is first asked for: ``models(case) -> Model``."""
    folder = shared_folder
    made: dict[str, Model] = {}

    def get(case: str) -> Model:
        if case == ENROLLED and case not in made:
            with held(folder / f"{case}.lock"):
                if not (folder / case / "auricle.json").exists():
                    api.enrol(clips, out=folder / case)
            bundle = load_bundle(folder / case)
            recipe = make_recipe(bundle.spec.provenance.recipe)
            made[case] = Model(
                folder / case, bundle, load(folder / case), recipe, tolerance=0.02, frames=bundle.spec.task
            )
        elif case not in made:
            network, options = CASES[case]
            number = list(CASES).index(case)
            # A deep network that has learnt nothing ranks clips by its last bit, and 8 bits have other last bits.
            epochs = 4 if network == "mobilecrnn" else 1
            settings = [f"model.{key}={value}" for key, value in options.items()]
            settings += [f"optim.epochs={epochs}", "optim.lr=0.02", *usable(network, ["model.texture=true"])]
            # Even so EfficientAT has not: what 8 bits may cost it is told by its scores, not by their ranks.
            settings += ["export.int8_loss=1"] if network == "efficientat" else []
            settings += usable(network, ["frontend.f_max=null"])
            settings += ["frontend.window_ms=10"] if network == "mobilenet" else []  # its frames lie side by side
            settings += ["task=multi", "data.negatives=ignore"] if number % 2 else []
            settings += ["data.pad=repeat"] if number % 3 == 1 else []
            path = folder / case
            with held(folder / f"{case}.lock"), pytest.MonkeyPatch.context() as patch:
                patch.setenv("AURICLE_CACHE", str(folder / "cache"))
                if not (path / "auricle.json").exists():
                    api.train(clips, out=path, model=network, overrides=[*tiny_of(network), *settings])
            bundle = load_bundle(path)
            recipe = make_recipe(bundle.spec.provenance.recipe)
            made[case] = Model(path, bundle, load(path), recipe)
        return made[case]

    return get


@pytest.fixture(scope="session")
def all_models(models) -> list[Model]:
    """Every model."""
    return [models(case) for case in (*CASES, ENROLLED)]


@pytest.fixture(params=[*CASES, ENROLLED])
def model(request, models) -> Model:
    """Each model in turn."""
    return models(request.param)


@pytest.fixture(params=CASES)
def trained(request, models) -> Model:
    """Each trained model in turn."""
    return models(request.param)


@pytest.fixture(params=[case for case, (_, options) in CASES.items() if "causal" in options])
def causal(request, models) -> Model:
    """Each causal model in turn."""
    return models(request.param)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Recordings of many lengths, rates and widths, shorter and longer than a window of half a second."""
    folder = tmp_path_factory.mktemp("recordings")
    shapes = {
        "one_sample": (RATE, 1),
        "short": (RATE, 1_000),
        "window": (RATE, 4_000),
        "window_and_a_bit": (RATE, 4_100),
        "long": (RATE, 17_777),
        "other_rate": (11_025, 9_000),
        "high_rate": (44_100, 30_011),
    }
    paths = []
    for i, (name, (rate, length)) in enumerate(shapes.items()):
        samples = np.resize(sound("low" if i % 2 else "high", i, 2.5), length)
        soundfile.write(folder / f"{name}.wav", samples, rate, subtype="PCM_16")
        paths.append(folder / f"{name}.wav")
    soundfile.write(folder / "stereo.flac", np.stack([sound("low", 1, 1.2), sound("high", 2, 1.2)], axis=1), RATE)
    return [*paths, folder / "stereo.flac"]
