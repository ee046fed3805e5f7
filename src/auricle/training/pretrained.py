# SPDX-License-Identifier: Apache-2.0
"""The network of a model folder as a module of torch, with its weights: to train on, to look into, to build on."""

from __future__ import annotations

import os

import torch
from pydantic import ValidationError
from safetensors.torch import load as load_tensors

from auricle.errors import BundleError, ConfigError
from auricle.nn.network import Network
from auricle.nn.networks import build_network
from auricle.recipe.schema import make_recipe
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.training.init_weights import WEIGHTS_FILE


def from_pretrained(name: str | os.PathLike[str]) -> Network:
    """Return the network of a model, in evaluation mode: waveforms ``(batch, sample)`` in, a ``NetworkOutput`` out.

    ``clip_logits`` ``(batch, label)``, ``frame_logits`` ``(batch, frame, label)`` (None for heads without frames) and
    ``embedding`` ``(batch, dimension)`` keep their gradients; ``auricle.load`` gives labels, rate and scores. Weights
    that are stored as float16 become float32: scores may be 0.01 off those of the exported graph then.

    Args:
        name: a folder, the name of a built-in model, or ``hf:org/name``.

    Raises:
        BundleError: it has no weights for training, or they do not fit the network that it says it is.
    """
    bundle = load_bundle(resolve_model(name))
    spec = bundle.spec
    if WEIGHTS_FILE not in bundle:
        raise BundleError(f"{name} has no {WEIGHTS_FILE}: it can be used with auricle.load, but is no module of torch")
    values = spec.provenance.recipe or _recipe_values(bundle.spec.model_dump(mode="json"))
    try:
        network = build_network(make_recipe(values), len(spec.labels))
        tensors = load_tensors(bundle.read(WEIGHTS_FILE))
        network.load_state_dict({key: value.to(torch.float32) for key, value in tensors.items()})
    except (ConfigError, ValidationError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BundleError(
            f"{name}: its weights do not fit the network that auricle.json describes: {reason}"
        ) from error
    return network.eval()


def _recipe_values(spec: dict[str, object]) -> dict[str, object]:
    """Return what an imported model says of its network, as a recipe."""
    model, frontend = spec["model"], spec["frontend"]
    kept = {"name", "width"}
    network = {key: value for key, value in model.items() if key in kept} if isinstance(model, dict) else {}
    return {"model": network, **({} if frontend is None else {"frontend": frontend})}
