# SPDX-License-Identifier: Apache-2.0
"""From a request to its recipe: what is asked for, over the defaults of the network, over the model to begin with.

Who names neither a network nor initial weights begins at the built-in model ``general``. A model brings its network and
its front end, so a recipe that sets those otherwise, or data that are features already, begin from nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from auricle.data.manifest import Manifest
from auricle.progress import Progress
from auricle.recipe.network import DEFAULT_NETWORK, NETWORKS
from auricle.recipe.options import recipe_settings
from auricle.recipe.requests import RecipeFileOptions
from auricle.recipe.schema import Recipe, join_values, make_recipe, read_values
from auricle.registry import shorten
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.model_names import DEFAULT_MODEL

#: What training begins with where nothing is said.
DEFAULT_INIT = DEFAULT_MODEL
NOTHING = "none"
#: Keys of ``model`` that may differ from those of the model to begin with: no weight depends on them.
_FREE = frozenset({"name", "dropout"})


def recipe_of(request: RecipeFileOptions, manifest: Manifest | None = None, progress: Progress | None = None) -> Recipe:
    """Return the recipe that a request asks for.

    Args:
        request: names network, recipe file and changes.
        manifest: the data, once they are read: features do not go into a model that has a front end of its own.
        progress: is told why training begins from nothing where it would not by default.
    """
    settings = recipe_settings(request)
    stated = read_values(_path(request.recipe), request.overrides, settings=settings)
    default = DEFAULT_INIT
    if _is_silent(request.model, stated):
        reason = _reason_for_nothing(stated, manifest)
        if reason:
            default = NOTHING
            if progress is not None:
                progress.notice(f"training begins from nothing (network {DEFAULT_NETWORK}): {reason}")
    return make_request_recipe(request.model, request.recipe, request.overrides, None, settings, default=default)


def make_request_recipe(
    model: str | None,
    recipe: str | os.PathLike[str] | None,
    overrides: Iterable[str],
    seed: int | None,
    settings: Mapping[str, Any] | None = None,
    *,
    default: str = NOTHING,
) -> Recipe:
    """Return a recipe: the network's own defaults, file, then ``a.b=c`` overrides, then settings by key and the seed.

    Where file or overrides name another network than ``model``, theirs counts, with its defaults.

    Args:
        model: network by name; None takes that of the model to begin with, else the default one.
        recipe: a YAML file.
        overrides: assignments.
        seed: over all others.
        settings: values by key (``a.b``), over file and overrides.
        default: what to begin with where neither a network nor initial weights are named.
    """
    settings = {**({} if settings is None else settings), **({} if seed is None else {"seed": seed})}
    where = "the recipe" if recipe is None else f"the recipe {recipe}"
    return make_recipe(request_values(model, recipe, overrides, settings, default=default), where)


def request_values(
    model: str | None,
    recipe: str | os.PathLike[str] | None,
    overrides: Iterable[str],
    settings: Mapping[str, Any] | None,
    *,
    default: str = NOTHING,
) -> dict[str, Any]:
    """Return what ``make_request_recipe`` checks, as nested dictionaries."""
    overrides, path = list(overrides), _path(recipe)
    stated = read_values(path, overrides, settings=settings)
    name, init = _network(model, stated), _init(stated)
    base: dict[str, Any] = {}
    if name is None and init is None and default != NOTHING:
        init, base = default, {"init": {"model": default}}
    if init == DEFAULT_INIT:  # hundreds of classes of its own
        base = join_values(base, {"init": {"new_head": True}})
    brought = {} if init is None else _brought_by(init)
    if brought and name in (None, brought["model"]["name"]):
        base = join_values(base, brought)
    elif "model" not in base:
        base["model"] = {"name": DEFAULT_NETWORK if name is None else name}
    return read_values(path, overrides, base, settings)


def _path(recipe: str | os.PathLike[str] | None) -> Path | None:
    return None if recipe is None else Path(recipe)


def _section(stated: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = stated.get(name)
    return section if isinstance(section, Mapping) else {}


def _network(model: str | None, stated: Mapping[str, Any]) -> str | None:
    """Return the network that is named, by the recipe or beside it."""
    name = _section(stated, "model").get("name", model)
    return name if name is None else str(name)


def _init(stated: Mapping[str, Any]) -> str | None:
    """Return the initial weights that are named."""
    name = _section(stated, "init").get("model")
    return name if name is None else str(name)


def _is_silent(model: str | None, stated: Mapping[str, Any]) -> bool:
    """Whether neither a network nor initial weights are named."""
    return _network(model, stated) is None and _init(stated) is None


def _brought_by(init: str) -> dict[str, Any]:
    """Return the network and the front end of a model to begin with; nothing for published weights and none."""
    if init == NOTHING or any(Path(init).suffix in NETWORKS.get(name).published for name in NETWORKS):
        return {}
    spec = load_bundle(resolve_model(init)).spec
    stored = spec.provenance.recipe.get("model")
    options = dict(stored) if isinstance(stored, Mapping) else spec.model.model_dump(mode="json", exclude_unset=True)
    frontend = {} if spec.frontend is None else {"frontend": spec.frontend.model_dump(mode="json")}
    return {"model": options, **frontend}


def _reason_for_nothing(stated: Mapping[str, Any], manifest: Manifest | None) -> str:
    """Return why the default model cannot be begun with; empty if it can."""
    if manifest is not None and manifest.is_logmel:
        return f"the data are log-mels, and {DEFAULT_INIT} has a front end of its own"
    brought = _brought_by(DEFAULT_INIT)
    other = [
        f"{section}.{key}"
        for section in ("model", "frontend")
        for key, value in _section(stated, section).items()
        if not (section == "model" and key in _FREE) and _plain(brought[section].get(key)) != _plain(value)
    ]
    return f"the recipe sets {shorten(other)} otherwise than {DEFAULT_INIT}, which was not named" if other else ""


def _plain(value: Any) -> Any:
    """Return a value as JSON would hold it, so that a tuple is a list."""
    return list(value) if isinstance(value, tuple) else value
