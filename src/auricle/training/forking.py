# SPDX-License-Identifier: Apache-2.0
"""Going on with a run under other conditions, on purpose and in a folder of its own (``--fork``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from auricle.errors import RunError
from auricle.files import write_json
from auricle.nn.networks import build_network
from auricle.training.batches import BatchPlan
from auricle.training.checkpoint import State, last_good_state, save_checkpoint
from auricle.training.preparing import Material

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

    Weights, their averages, the optimiser and the log go on. Where the data or its order is another, the run goes
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
        state.losses, state.quarantine = [], []
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
    changed = [difference for difference in differences if difference.startswith("init.")]
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
