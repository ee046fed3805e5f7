# SPDX-License-Identifier: Apache-2.0
"""The training loop: plain steps on Lightning Fabric, which brings devices and mixed precision.

The loop owns order, state and saving. Whatever is random in step ``t`` is a function of (seed, t): so the
state is weights, optimiser, averaged weights and counters, and a resumed run computes the same bits.

    setup -> [ batch -> loss -> backward -> step -> average ] x steps -> dev score each epoch -> done
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from auricle.config import Recipe
from auricle.data.manifest import Clip
from auricle.data.mixing import Mixture
from auricle.errors import Interrupted, TrainingError
from auricle.files import write_json
from auricle.nn.networks import Network
from auricle.results import FloatArray
from auricle.training.apprentice import make_apprentice
from auricle.training.batches import STEP, BatchPlan, generator
from auricle.training.checkpoint import State, find_checkpoints, optimizer_tensors, restore_optimizer, save_checkpoint
from auricle.training.dataset import Batch, ClipReader, Collate, CropDataset, make_batch_loader, make_loader
from auricle.training.devices import make_fabric
from auricle.training.group import ALONE, Group
from auricle.training.lessons import Lessons, Taught
from auricle.training.logs import RunLog
from auricle.training.objective import Objective, Target, mix
from auricle.training.phases import Phases
from auricle.training.progress import Progress
from auricle.training.sharing import Share
from auricle.training.stopping import STOP_FILE, StopRequest, stop_on_signals
from auricle.training.waves import WaveDataset

#: Where a step takes longer, one is enough to say how long the run will take.
SLOW_STEP_S = 5.0


@dataclass(frozen=True)
class TrainingSet:
    """What is trained on.

    Attributes:
        clips: of the training part.
        targets: ``(clip, label)`` in [0, 1].
        weights: ``(clip,)``, weight of each clip's loss.
        draws: ``(clip,)``, how often to draw each clip; None is once an epoch.
        lessons: what a teacher says about them; None without one.
    """

    clips: Sequence[Clip | Mixture]
    targets: FloatArray
    weights: FloatArray
    draws: npt.NDArray[np.floating] | None = None
    lessons: Lessons | None = None

    def dataset(self, reader: ClipReader, recipe: Recipe) -> CropDataset:
        """Return the augmented crops of these clips."""
        return CropDataset(self.clips, reader, recipe, self.lessons)

    def collate(self) -> Collate:
        """Return what makes batches of crops."""
        return Collate(self.targets, self.weights, self.lessons)


@dataclass
class Loop:
    """One run of training.

    Attributes:
        recipe: every choice.
        network: trained in place.
        target: what is learnt.
        data: the training part.
        reader: reads its clips.
        score_dev: maps a network to named dev figures, the first of which selects; None selects nothing.
        folder: where checkpoints and logs go.
        state: to go on from; a fresh one starts at step 0.
        progress: listens, in the process that leads.
        group: the processes that train together; each computes its part of every step.
        phases: adds up where the time goes.
    """

    recipe: Recipe
    network: Network
    target: Target
    data: TrainingSet
    reader: ClipReader
    score_dev: Callable[[Network], dict[str, float]] | None
    folder: Path
    state: State
    progress: Progress = field(default_factory=Progress)
    group: Group = ALONE
    phases: Phases = field(default_factory=Phases)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.plan = BatchPlan(len(self.data.clips), recipe.data.batch_size, recipe.seed, self.data.draws)
        self.share = Share(self.plan, recipe.augment.mixup_alpha, self.group.rank, self.group.size)
        steps = recipe.optim.steps
        self.total_steps = recipe.optim.epochs * self.plan.steps if steps is None else steps
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision on each run
        self.fabric = make_fabric(recipe.run, self.group)
        self.network = self.network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        self.apprentice = make_apprentice(self.network.embedding_size, self.data.lessons, recipe.teacher)
        self.optimizer: Any = _make_optimizer([self.network, self.apprentice], recipe)
        _restore(self.state, self.network, self.averaged, self.apprentice, self.optimizer)
        self.objective = Objective(
            self.network, self.target, is_logmel=self.reader.is_logmel, apprentice=self.apprentice
        )
        self.module, self.optimizer = self.fabric.setup(self.objective, self.optimizer)
        self.log = RunLog(self.folder, self.state.history) if self.group.leads else None
        self._saved_at = time.monotonic()
        self._dataset: CropDataset | WaveDataset | None = None

    def fit(self) -> State:
        """Train to the end, or to the recipe's early stop; returns the final state.

        Raises:
            Interrupted: after a signal; the state was saved.
            TrainingError: at a non-finite loss or gradient; the last good checkpoint is kept.
        """
        with (
            contextlib.closing(self.log) if self.log else contextlib.nullcontext(),
            stop_on_signals(self.folder / STOP_FILE) as stop,
        ):
            if self.state.step < self.total_steps and not self._is_stale():
                self.progress.training_starts(self.total_steps, self.state.step, self._seconds_a_step())
                self._walk(stop)
        return self.state

    def _walk(self, stop: StopRequest) -> None:
        loader = self._loader(self.state.step, self.total_steps, self.recipe.data.workers)
        self.phases.mark("start")
        for batch in _batches(loader, stop):
            self.phases.mark("data")
            if self._agreed(stop) is not None or batch is None:
                break
            loss = self._step(batch)
            self.state.losses.append(loss)
            self.state.step += 1
            self.phases.mark("optimiser")
            self.progress.step_done(self.state.step, loss)
            if self.state.step % self.plan.steps == 0:
                self._end_epoch()
            if self._is_stale():
                break
            if self._is_due():
                self.save()
            self.phases.mark("other")
        self.save()
        exit_code = self._agreed(stop)
        if exit_code is not None:
            raise Interrupted(f"stopped at step {self.state.step}; go on with --resume", exit_code)

    def _agreed(self, stop: StopRequest) -> int | None:
        """Return the exit code if any process was asked to stop: all leave at the same step, or some would wait."""
        code = int(self.group.gather([0 if stop.exit_code is None else stop.exit_code]).max())
        return code if code else None

    def _loader(self, first_step: int, last_step: int, workers: int) -> Iterator[Batch]:
        """Return this process's part of the batches of some steps."""
        data = self.data
        if self._dataset is None:
            self._dataset = (
                WaveDataset(data.clips, self.reader, self.recipe, data.targets, data.weights)
                if self.recipe.frontend.name == "waveform"
                else data.dataset(self.reader, self.recipe)
            )
        steps = {"first_step": first_step, "last_step": last_step, "workers": workers}
        if isinstance(self._dataset, WaveDataset):
            return make_batch_loader(self._dataset, self.share, **steps)
        return make_loader(self._dataset, self.share, data.collate(), **steps)

    def _step(self, batch: Batch) -> float:
        """Do one optimiser step; returns the loss."""
        step, optim = self.state.step, self.recipe.optim
        torch.manual_seed(_step_seed(self.recipe.seed, step, self.group.rank))
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * learning_rate_factor(step, self.total_steps, optim.warmup_steps, optim.schedule)
        self.module.train()
        self.optimizer.zero_grad()
        loss = 0.0
        parts = _micro_batches(mix(self.fabric.to_device(batch), self.share.mixture(step)), optim.accumulate)
        for number, (part, share) in enumerate(parts, 1):
            weight = share * self.share.weight
            with self.fabric.no_backward_sync(self.module, enabled=number < len(parts)):
                value = self.module(part)["loss"]
                loss += float(value.detach()) * weight
                self.phases.mark("forward")
                # DDP averages over processes; what is wanted is the mean over clips.
                self.fabric.backward(value * (weight * self.group.size))
                self.phases.mark("backward")
        loss = float(self.group.gather([loss]).sum())
        self._require_finite("loss", loss)
        most = math.inf if optim.clip_norm is None else optim.clip_norm
        norm: Any = self.fabric.clip_gradients(self.module, self.optimizer, max_norm=most, error_if_nonfinite=False)
        self._require_finite("gradient", float(norm))
        self.optimizer.step()
        _average(self.averaged, self.network, min(optim.ema, (1 + step) / (10 + step)))
        return loss

    def _end_epoch(self) -> None:
        epoch = self.state.step // self.plan.steps
        row = {"epoch": float(epoch), "step": float(self.state.step), "loss": float(np.mean(self.state.losses))}
        self.state.losses = []
        if self.score_dev is not None:
            self.group.copy_buffers(self.averaged)
            figures = self.score_dev(self.averaged)
            row |= {f"dev_{name}": value for name, value in figures.items()}
            score = next(iter(figures.values()))
            # Of equal scores the later one wins: small dev parts tie often, and later weights are better calibrated.
            if self.state.best_score is None or score >= self.state.best_score:
                self.state.best_score, self.state.best_epoch = score, epoch
                self.state.tensors = {k: v for k, v in self.state.tensors.items() if not k.startswith("best.")}
                self.state.tensors |= {f"best.{k}": v.clone() for k, v in self.averaged.state_dict().items()}
        self.state.history.append(row)
        if self.log is not None:
            self.log.write(row)
        self.progress.epoch_done(row)

    def _is_stale(self) -> bool:
        """Whether no dev score was as good as the best for as many epochs as the recipe allows."""
        patience = self.recipe.run.early_stop
        if patience is None or self.score_dev is None or self.state.best_score is None:
            return False
        return self.state.step // self.plan.steps - self.state.best_epoch >= patience

    def _is_due(self) -> bool:
        run = self.recipe.run
        if run.checkpoint_every_steps is not None and self.state.step % run.checkpoint_every_steps == 0:
            return True
        return time.monotonic() - self._saved_at >= run.checkpoint_every_s

    def save(self) -> None:
        """Write a checkpoint of this moment; the process that leads does it for all."""
        if not self.group.leads:
            return
        best = {k: v for k, v in self.state.tensors.items() if k.startswith("best.")}
        now = {
            **{f"model.{k}": v for k, v in self.network.state_dict().items()},
            **{f"ema.{k}": v for k, v in self.averaged.state_dict().items()},
            **({} if self.apprentice is None else {f"aux.{k}": v for k, v in self.apprentice.state_dict().items()}),
            **{f"optim.{k}": v for k, v in optimizer_tensors(self.optimizer).items()},
        }
        self.state.tensors = now | best
        save_checkpoint(self.folder / "checkpoints", self.state)
        self._saved_at = time.monotonic()

    def _require_finite(self, what: str, value: float) -> None:
        """Stop before a step that would fill the weights with NaN."""
        if math.isfinite(value):
            return
        names = [self.data.clips[i].key for i in self.plan.batch(*divmod(self.state.step, self.plan.steps))]
        report = self.folder / "nonfinite.json"
        if self.group.leads:
            write_json(report, {"step": self.state.step, what: str(value), "clips": names})
        kept = find_checkpoints(self.folder / "checkpoints")
        raise TrainingError(
            f"the {what} became {value} at step {self.state.step}, in a batch with {', '.join(names[:3])}, ... "
            f"(all {len(names)} in {report}); {'the last checkpoint is intact' if kept else 'nothing was saved yet'}: "
            "check those files, or lower optim.lr"
        )

    def _seconds_a_step(self) -> float:
        """Time steps on a copy, so that the estimate changes nothing; the first ones compile kernels."""
        batch = mix(Batch(*self.fabric.to_device(next(self._loader(0, 1, 0)))), self.share.mixture(0))
        trial = copy.deepcopy(self.objective)  # not the module: other processes would have to take part
        times = []
        for _ in range(3):
            start = time.perf_counter()
            torch.manual_seed(0)
            trial.train()
            with self.fabric.autocast():
                loss = trial(batch)["loss"]
            self.fabric.backward(loss)
            times.append(time.perf_counter() - start)
            if times[-1] > SLOW_STEP_S:
                break
        return min(times)


def _batches(loader: Iterator[Batch], stop: StopRequest) -> Iterator[Batch | None]:
    """Yield batches; where the signal that asked to stop took the loader processes too, the last one is None."""
    try:
        yield from loader
    except RuntimeError:
        if stop.exit_code is None:
            raise
        yield None


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of torch's random numbers (dropout) in one step of one process."""
    return int(generator(seed, STEP, step, rank).integers(2**62))


def learning_rate_factor(step: int, total: int, warmup: int, schedule: str) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then cosine to zero or constant."""
    warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if schedule == "constant":
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * step / total))


def _micro_batches(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """Split a batch into at most ``count`` parts with their shares of it."""
    size = len(batch.clips)
    if count == 1:
        return [(batch, 1.0)]
    bounds = np.linspace(0, size, min(count, size) + 1).astype(int)
    return [(_part(batch, low, high), (high - low) / size) for low, high in itertools.pairwise(bounds)]


def _part(batch: Batch, low: int, high: int) -> Batch:
    """Return some items of a batch."""
    taught = Taught(*(value[low:high] for value in batch.taught))
    tensors = {name: value[low:high] for name, value in batch._asdict().items() if name != "taught"}
    return Batch(**tensors, taught=taught)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights, and the batch norms' statistics, towards the network's."""
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _make_optimizer(modules: Sequence[nn.Module | None], recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW that decays matrices and spares biases and norms."""
    parameters = [p for m in modules if m is not None for p in m.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.optim.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.optim.lr, fused=True)


def _restore(
    state: State,
    network: nn.Module,
    averaged: nn.Module,
    apprentice: nn.Module | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put a checkpoint's tensors where they belong; a fresh state changes nothing."""
    if state.step == 0:
        return
    network.load_state_dict(state.part("model"))
    averaged.load_state_dict(state.part("ema"))
    if apprentice is not None:
        apprentice.load_state_dict(state.part("aux"))
    restore_optimizer(optimizer, state.part("optim"))


def final_weights(state: State, *, selected: bool) -> dict[str, Tensor]:
    """Return the weights to ship: the best on dev if something was selected, else the last averaged ones."""
    return state.part("best") if selected and state.best_score is not None else state.part("ema")
