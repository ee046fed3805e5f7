# SPDX-License-Identifier: Apache-2.0
"""Where an earlier call left the training of a fold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from auricle.errors import RunError
from auricle.training.checkpoint import State, last_good_state
from auricle.training.fingerprint import differences, fingerprint
from auricle.training.preparing import Material


def interrupted_state(run_folder: Path, material: Material, fold: str, notice: Callable[[str], None]) -> State:
    """Return the state in which an earlier call left a fold, if the same code and data go on with it, or a fresh one.

    Args:
        run_folder: of the fold.
        material: its data and recipe.
        fold: its name.
        notice: hears why it starts again.
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
