# SPDX-License-Identifier: Apache-2.0
"""Calibrating a model of synthetic voices from inside its training part.

The model itself trains on everything. Its recipe trains some more models, each of which leaves out some systems and
some speakers, and the calibration is fitted on these models' scores of those. It is rather too harsh than too
kind: the model was trained on more than they were.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from auricle.data.leave_out import leave_out, split_systems
from auricle.data.manifest import VARIANT
from auricle.data.splits import Fold, Split
from auricle.evaluation.spoof.metrics import equal_error_rate
from auricle.files import atomic_write, sweep_orphans
from auricle.progress import Progress
from auricle.results import SPOOF_LABELS, FloatArray
from auricle.runtime.llr import fit_llr, raw_llr
from auricle.runtime.spec import LlrPart
from auricle.training.bundling import Trained, clip_rows
from auricle.training.checkpoint import State
from auricle.training.distributed import Group
from auricle.training.preparation import Material
from auricle.training.resume import interrupted_state

#: Inside the run's folder.
FOLDER = "calibration"
#: Trains on one part of the data, in a folder, from a state on; returns the final state.
TrainPart = Callable[[Split, Path, State], State]


def wants_calibration(material: Material, split: Split) -> bool:
    """Tell whether a run ends with a model of synthetic voices that nothing else will calibrate."""
    is_spoof = tuple(sorted(material.manifest.labels)) == SPOOF_LABELS and not material.target.negatives
    asked = material.recipe.data.calibration_folds > 0
    return asked and is_spoof and material.recipe.task == "single" and len(split.dev) == 0


def calibrate_inside(
    material: Material, split: Split, run_folder: Path, train_part: TrainPart, group: Group, progress: Progress
) -> LlrPart | None:
    """Train the folds of a run, or resume them, and return the calibration that their scores give.

    What is finished is kept; without two systems, speakers are left out alone.

    Args:
        material: of the run.
        split: of the run; only its train part is used.
        run_folder: of the run; each fold has a folder inside.
        train_part: trains the recipe of the run.
        group: all of its processes come here.
        progress: is called.

    Returns:
        None where the scores do not rise with bona fide recordings.
    """
    k, seed = material.recipe.data.calibration_folds, material.recipe.seed
    systems = split_systems(material.manifest, split.train, k, seed)
    turns = leave_out(material.manifest, split.train, systems, seed)
    truth = np.array([clip.label == ("bonafide",) for clip in material.manifest.clips], np.bool_)
    raw, bonafide = np.zeros(0), np.zeros(0, np.bool_)
    for turn, names in zip((_without_variants(turn, material) for turn in turns), systems, strict=True):
        if len(turn.test) == 0 or len(set(truth[turn.train])) < len(SPOOF_LABELS):
            continue  # so few speakers that a fold has none to score, or none of a kind to train on
        left = f"without {', '.join(names)} and" if names else "without"
        progress.notice(f"calibration, fold {turn.name} of {len(turns)}: trains {left} a share of the speakers")
        scores = _fold_scores(material, turn, run_folder / FOLDER / turn.name, train_part, group, progress)
        raw = np.append(raw, raw_llr(scores, material.manifest.labels))
        bonafide = np.append(bonafide, truth[turn.test])
    part = fit_llr(raw, bonafide)
    if part is None:
        progress.notice("the model is not calibrated: systems and speakers left out were not told from each other")
    else:
        rate = equal_error_rate(raw[bonafide], raw[~bonafide])
        progress.notice(
            f"calibrated on {len(raw)} recordings of systems and speakers left out: equal error rate {rate:.1%} there"
        )
    return part


def _without_variants(turn: Fold, material: Material) -> Fold:
    """Return a turn that scores recordings as they are, not changed ones."""
    clips = material.manifest.clips
    return replace(turn, test=np.array([i for i in turn.test if VARIANT not in clips[i].extra], np.int64))


def _fold_scores(
    material: Material, turn: Fold, folder: Path, train_part: TrainPart, group: Group, progress: Progress
) -> FloatArray:
    """Return the scores ``(clip, label)`` of what a fold leaves out, from its own model."""
    stored = folder / "scores.npz"

    def begin() -> State | None:
        if stored.is_file():
            return None
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / "checkpoints"):
            sweep_orphans(place)
        return interrupted_state(folder, material, f"calibration {turn.name}", progress.notice)

    state = group.first(begin)
    if state is not None:
        split = Split(turn.train, turn.test[:0], turn.test[:0])
        state = train_part(split, folder, state)
        group.first(lambda: _store(material, turn, folder, state))
    with np.load(stored, allow_pickle=False) as found:
        return np.asarray(found["scores"], np.float32)


def _store(material: Material, turn: Fold, folder: Path, state: State) -> None:
    """Score what a fold left out, and let go of its weights."""
    network = Trained(state.part("final"), material, material.recipe.seed).network()
    scores = np.stack(clip_rows(network, material, [material.manifest.clips[i] for i in turn.test]))
    atomic_write(folder / "scores.npz", lambda file: np.savez(file, scores=scores))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
