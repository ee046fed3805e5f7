# SPDX-License-Identifier: Apache-2.0
"""What decides the numbers of a run, beside its seed: a run continues only where all of it is the same.

How a run is carried out (loader processes, threads, checkpoints) may change on the way; what it computes may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

import auricle
from auricle.batches.sampling import BatchPlan
from auricle.errors import RunError
from auricle.files import json_differences, sha256_file, write_json
from auricle.nn.networks import build_network
from auricle.recipe.network import said_nothing
from auricle.training.checkpoint import State, last_good_state, save_checkpoint
from auricle.training.init_weights import initial_hash
from auricle.training.preparation import Material

#: The parts of auricle that turn data into weights.
_CODE = ("audio", "batches", "data", "distill", "nn", "recipe", "synth", "teachers", "training", "timeline.py")
_DIGITS = 16
#: Settings of ``run`` that change what is computed.
_RUN = ("precision", "early_stop")


def fingerprint(material: Material, test_fold: str | None = None) -> dict[str, Any]:
    """Return what must be the same when a run continues, as JSON holds it."""
    recipe = material.recipe.model_dump(mode="json")
    recipe["run"] = {name: recipe["run"][name] for name in _RUN}
    recipe["data"].pop("workers")
    recipe.pop("export")
    return {
        "recipe": recipe,
        "data_hash": material.manifest.data_hash,
        "content": _content_digest(material),
        "labels": list(material.manifest.labels),
        "initial_weights": initial_hash(material.recipe.init),
        "soft_labels": None if material.soft_labels is None else material.soft_labels.store.sha256,
        "test_fold": test_fold,
        "version": auricle.__version__,
        "code": code_digest(),
        "torch": str(torch.__version__),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in what two fingerprints differ, a line each; what an earlier version did not note cannot differ."""
    return [line.removeprefix("recipe.") for line in json_differences(_meant(before, now), _noted(before, now))]


def _meant(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return what was before, without keys of other networks that an earlier version noted at their defaults."""
    recipe, options = before.get("recipe", {}), now.get("recipe", {}).get("model", {})
    model = {k: v for k, v in recipe.get("model", {}).items() if k in options or not said_nothing(k, v)}
    return {**before, "recipe": {**recipe, "model": model}} if "model" in recipe else before


def _noted(before: Any, now: Any) -> Any:
    """Return what is now, without the keys that an earlier version did not note."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return now
    return {key: _noted(before[key], value) for key, value in now.items() if key in before}


def _content_digest(material: Material) -> str:
    """Return a digest of what the files hold: their sizes, which the data hash knows, may be the same by chance."""
    cache_of = material.reader.cache
    hashes = {
        clip.path: sha256_file(clip.path) if clip.is_array else cache_of.content_of(clip.path)
        for clip in material.manifest.clips
    }
    lines = sorted(f"{clip.key} {hashes[clip.path]}" for clip in material.manifest.clips)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]


@cache
def code_digest() -> str:
    """Return a digest of the source of everything that decides the numbers of a run."""
    package = Path(auricle.__file__).parent
    found = ([package / part] if part.endswith(".py") else package.glob(f"{part}/**/*.py") for part in _CODE)
    digest = hashlib.sha256()
    for file in sorted(file for files in found for file in files):
        digest.update(f"{file.relative_to(package).as_posix()} {sha256_file(file)}\n".encode())
    return digest.hexdigest()[:_DIGITS]


def interrupted_state(run_folder: Path, material: Material, fold: str, notice: Callable[[str], None]) -> State:
    """Return the state in which an earlier call left a fold, if the same code and data resume it, or a fresh one.

    Args:
        run_folder: of the fold.
        material: its data and recipe.
        fold: its name.
        notice: is called with the reason why it starts again.
    """
    fresh = State(fingerprint=fingerprint(material, fold))
    try:
        saved = last_good_state(run_folder / "checkpoints", notice)
    except RunError as error:
        notice(f"fold {fold} starts again: {error}")
        return fresh
    if saved is None:
        return fresh
    changes = differences(saved.fingerprint, fresh.fingerprint)
    if changes:
        notice(f"fold {fold} starts again: {'; '.join(changes)}")
        return fresh
    return saved


#: What the names of settings begin with that change which clips make up which batch.
_ORDER = ("data_hash", "content", "soft_labels", "test_fold", "data.", "seed", "task")


def load_source(source: Path, notice: Callable[[str], None]) -> State:
    """Return the newest state of a run that is to be forked; the run itself stays as it is, and may be going on."""
    state = last_good_state(source / "run" / "checkpoints", notice, put_aside=False)
    if state is None:
        raise RunError(f"{source} has no checkpoint to fork from; train into the new folder without --fork")
    return state


def fork_state(
    source: Path,
    state: State,
    folder: Path,
    now: dict[str, Any],
    differences: Sequence[str],
    material: Material,
    train_clips: int,
) -> State:
    """Make the state of a run fit for other conditions, and save it before anything is trained.

    Weights, their averages, the optimiser and the log continue. Where the data or its order is another, the run goes
    back to the beginning of the epoch it was in, and forgets the best score so far, which other clips gave.

    Args:
        source: folder of the run to start from.
        state: of that run; changed in place.
        folder: ``run`` of the new one.
        now: the fingerprint of the new run.
        differences: between the two, each beginning with the name of a setting.
        material: of the new run.
        train_clips: how many of its clips it trains on.

    Raises:
        RunError: the classes, the initial weights or the shapes of the weights differ.
    """
    _require_same_init(source, differences)
    _require_same_network(source, state, material)
    if any(difference.startswith(_ORDER) for difference in differences):
        recipe = material.recipe
        plan = BatchPlan(train_clips, recipe.data.batch_size, recipe.seed)
        state.step = len(state.history) * plan.steps
        state.losses, state.skipped_clips = [], []
        state.best_score, state.best_epoch = None, 0
        state.tensors = {k: v for k, v in state.tensors.items() if not k.startswith("best.")}
    state.fingerprint = now
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "fork.json",
        {"from": str(source), "step": state.step, "epochs": len(state.history), "differences": list(differences)},
    )
    save_checkpoint(folder / "checkpoints", state)
    return state


def _require_same_init(source: Path, differences: Sequence[str]) -> None:
    """Refuse to write down other initial weights than those that the run began with."""
    changed = [d for name in ("init.", "initial_weights") for d in differences if d.startswith(name)]
    if changed:
        raise RunError(
            f"{source} cannot be forked: its weights began otherwise ({'; '.join(changed)}); "
            "give the same init.model and init.new_head, or train anew"
        )


def _require_same_network(source: Path, state: State, material: Material) -> None:
    """Refuse what would put weights where they do not belong."""
    labels, before = list(material.manifest.labels), state.fingerprint.get("labels")
    if before is not None and before != labels:
        raise RunError(
            f"{source} cannot be forked: it learns the classes {', '.join(before)}; the data has {', '.join(labels)}: "
            "start from its model with --init and --new-head"
        )
    own = build_network(material.recipe, len(labels)).state_dict()
    stored = state.part("model")
    wrong = sorted(
        k for k in own.keys() | stored.keys() if k not in own or k not in stored or own[k].shape != stored[k].shape
    )
    if wrong:
        raise RunError(
            f"{source} cannot be forked: {len(wrong)} of its weights have other names or shapes than this recipe's "
            f"network, the first is {wrong[0]}; keep the settings under model and frontend"
        )
