# SPDX-License-Identifier: Apache-2.0
"""Starting from another model's weights (``--init``), never silently and never half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from torch import nn

from auricle.errors import BundleError
from auricle.files import sha256_file
from auricle.nn.network import Network
from auricle.recipe.network import NETWORKS
from auricle.recipe.schema import InitSection
from auricle.registry import shorten
from auricle.results import FloatArray
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.training.preparation import Material

WEIGHTS_FILE = "model.safetensors"
#: No class is taken to be rarer than this before anything is learnt.
LEAST_PRIOR = 1e-3


def initial_weights(network: Network, name: str, material: Material, *, new_head: bool) -> None:
    """Load a bundle's weights into ``network``.

    Args:
        network: of the same architecture.
        name: model folder or name; or published weights, where the network can begin with such.
        material: what will be trained on.
        new_head: the classes are others: everything but the layers that know them is loaded.

    Raises:
        BundleError: other classes without ``new_head``, another front end or another architecture, or weights that
            are not finite.
    """
    suffix, options = Path(name).suffix, material.recipe.model
    if suffix in options.published:
        options.load_published(network, name, len(material.manifest.labels), new_head=new_head)
        return
    if others := [other for other in NETWORKS if suffix in NETWORKS.get(other).published]:
        raise BundleError(
            f"{name} holds published weights, with which network {options.name} does not begin: train it with "
            + " or ".join(f"--model {other}" for other in others)
        )
    bundle = load_bundle(resolve_model(name))
    if WEIGHTS_FILE not in bundle:
        raise BundleError(f"{name} has no {WEIGHTS_FILE}: it can be used, but not trained further")
    labels = material.manifest.labels
    if bundle.spec.labels != labels and not new_head:
        raise BundleError(
            f"{name} knows the classes {shorten(bundle.spec.labels, 10)}; the data has {shorten(labels, 10)}: "
            "pass --new-head to train a new last layer"
        )
    frontend = material.recipe.frontend.model_dump()
    stored = {} if bundle.spec.frontend is None else bundle.spec.frontend.model_dump()
    other = sorted(key for key in frontend if stored.get(key) != frontend[key])
    if other:
        changes = ", ".join(f"{key} {stored.get(key)!r} there, {frontend[key]!r} in the recipe" for key in other)
        raise BundleError(f"the front end is part of a model, and that of {name} is another one: {changes}")
    weights = load_tensors(bundle.read(WEIGHTS_FILE))
    own = network.state_dict()
    wanted = {k for k in own if not (new_head and k.startswith(network.class_layers))}
    wrong = sorted(k for k in wanted if k not in weights or weights[k].shape != own[k].shape)
    if wrong:
        raise BundleError(
            f"{name} is of another architecture: {len(wrong)} weights differ, the first is {wrong[0]}; "
            "give the recipe that it was trained with (its run/recipe.yaml, or auricle.json)"
        )
    bad = sorted(k for k in wanted if not torch.isfinite(weights[k]).all())
    if bad:
        raise BundleError(f"{name} holds weights that are not finite, the first is {bad[0]}; take another model")
    network.load_state_dict({**own, **{k: weights[k] for k in wanted}})


def initial_hash(init: InitSection) -> str | None:
    """Return the SHA-256 of the weights that training begins with: a name alone may mean others tomorrow."""
    if not init.given:
        return None
    if any(Path(init.model).suffix in NETWORKS.get(name).published for name in NETWORKS):
        return sha256_file(init.model) if Path(init.model).is_file() else None
    return load_bundle(resolve_model(init.model)).spec.sha256.get(WEIGHTS_FILE)


def begin_at_prior(head: nn.Module, targets: FloatArray) -> None:
    """Let frame scores begin at how often each class is there (Lin et al. 2017, "Focal Loss", section 4.1).

    Of hundreds of classes nearly all are absent nearly always: from 0.5 a bias would take thousands of steps to there.
    """
    if isinstance(frame := getattr(head, "frame", None), nn.Linear):
        share = np.clip(np.asarray(targets, np.float32).mean(0), LEAST_PRIOR, 1 - LEAST_PRIOR)
        frame.bias.data = torch.from_numpy(np.log(share / (1 - share)))
