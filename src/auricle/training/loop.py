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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auricle.batches.crops import BatchDataset, ClipReader, make_augmentation, replacement_clip
from auricle.batches.frame_targets import FrameAxis, FrameTargets, frame_axis, make_frame_targets
from auricle.batches.loader import Feeder, FeedingError, make_loader
from auricle.batches.packed import PackedCopies
from auricle.batches.sampling import STEP, BatchPlan, BatchShard, generator
from auricle.batches.scene_items import SceneItem, SceneMaker
from auricle.batches.targets import Batch, ClipTargets, ClipTask, TargetSource
from auricle.batches.worker_status import WorkerStatus
from auricle.data.manifest import Clip
from auricle.errors import Interrupted, TrainingError
from auricle.files import require_space, write_json
from auricle.nn.networks import Network
from auricle.progress import Progress
from auricle.recipe.schema import Recipe
from auricle.results import FloatArray
from auricle.signals import STOP_FILE, LeftAtOnce, StopRequest, stop_on_signals
from auricle.synth.mixtures import Mixture
from auricle.training.checkpoint import State, find_checkpoints, optimizer_tensors, save_checkpoint
from auricle.training.devices import make_fabric
from auricle.training.distributed import ALONE, Group
from auricle.training.guards import more_parts, norm_statistics, put_back, spike_in
from auricle.training.logs import RunLog
from auricle.training.objective import Objective, mix
from auricle.training.optim import average, blend, learning_rate_factor, make_optimizer, restore
from auricle.training.phases import Phases
from auricle.training.trackers import flat

#: A run begins only where so many checkpoints fit on the disk: those that stay, the one being written, the model.
CHECKPOINTS_OF_SPACE = 3
#: What a crop of a strong clip holds is looked up in frames of so many seconds where the network has none.
FRAME_S = 0.02
#: Where a step takes longer, one is enough to say how long the run will take.
SLOW_STEP_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSet:
    """What is trained on.

    Attributes:
        clips: of the training part.
        targets: ``(clip, label)`` in [0, 1].
        weights: ``(clip,)``, weight of each clip's loss.
        draws: ``(clip,)``, how often to draw each clip; None is once an epoch.
        teacher: source of a teacher's labels of them; None without one.
        labels: the classes, in the order of the targets; needed where labels say when.
        scenes: makes those of the clips that are scenes, the last ones.
        frames_apart: scores of frames are fitted apart, after this: labels of clips say nothing of them here.
    """

    clips: Sequence[Clip | Mixture | SceneItem]
    targets: FloatArray
    weights: FloatArray
    draws: npt.NDArray[np.floating] | None = None
    teacher: TargetSource[Any] | None = None
    labels: Sequence[str] = ()
    scenes: SceneMaker | None = None
    frames_apart: bool = False

    @property
    def strong(self) -> bool:
        """Whether any label says when."""
        return self.scenes is not None or any(isinstance(clip, Clip) and clip.strong for clip in self.clips)

    def sources(
        self, task: ClipTask, frames: FrameTargets | None, instances: float = 0.0
    ) -> tuple[TargetSource[Any], ...]:
        """Return all sources of targets in their order: labels of clips, times of events, the teacher's labels."""
        absent = frames is None and not self.frames_apart
        clip = ClipTargets(self.targets, task, absent=absent, instances=0.0 if self.frames_apart else instances)
        return (clip, *(source for source in (frames, self.teacher) if source is not None))


@dataclass
class Loop:
    """One run of training.

    Attributes:
        recipe: every choice.
        network: trained in place.
        target: how the labels of clips are meant.
        data: the training part.
        reader: reads its clips.
        score_dev: maps a network to named dev figures, the first of which selects; None selects nothing.
        folder: where checkpoints and logs go.
        state: to resume from; a fresh one starts at step 0.
        progress: listens, in the process that leads.
        group: the processes that train together; each computes its part of every step.
        phases: adds up where the time goes.
        is_fitted: the last layers were fitted before, so the weights to begin with are a candidate too.
    """

    recipe: Recipe
    network: Network
    target: ClipTask
    data: TrainingSet
    reader: ClipReader
    score_dev: Callable[[Network], dict[str, float]] | None
    folder: Path
    state: State
    progress: Progress = field(default_factory=Progress)
    group: Group = ALONE
    phases: Phases = field(default_factory=Phases)
    is_fitted: bool = False

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.plan = BatchPlan(len(self.data.clips), recipe.data.batch_size, recipe.seed, self.data.draws)
        self.shard = BatchShard(self.plan, recipe.augment.mixup_alpha, self.group.rank, self.group.size)
        steps = recipe.optim.steps
        self.total_steps = recipe.optim.epochs * self.plan.steps if steps is None else steps
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision on each run
        self.fabric = make_fabric(recipe.run, self.group)
        self.network = self.network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        self.augmentation = make_augmentation(recipe, is_logmel=self.reader.is_logmel)
        self.sources = self.data.sources(self.target, self._make_frame_targets(), recipe.loss.instance_weight)
        losses = {source.name: source.loss(self.network.embedding_size) for source in self.sources}
        self.objective = Objective(self.network, losses, is_logmel=self.reader.is_logmel)
        self.optimizer: Any = make_optimizer([self.network, self.objective.losses], recipe)
        restore(self.state, self.network, self.averaged, self.objective.losses, self.optimizer)
        if recipe.init.keep and self.state.step == 0:
            self.state.tensors |= {f"begin.{k}": v.clone() for k, v in self.network.state_dict().items()}
        self.module, self.optimizer = self.fabric.setup(self.objective, self.optimizer)
        self.log = self._open_log() if self.group.leads else None
        self._saved_at = time.monotonic()
        self._copies: PackedCopies | None = None

    def _open_log(self) -> RunLog:
        """Open the log of the run, in the process that leads."""
        recipe = self.recipe
        return RunLog(self.folder, self.state.history, recipe.run.track, flat(recipe.model_dump(mode="json")))

    def fit(self) -> State:
        """Train to the end, or to the recipe's early stop; returns the final state. The loop is spent then.

        Raises:
            Interrupted: after a signal; the state was saved.
            TrainingError: at a non-finite loss or gradient; the last good checkpoint is kept.
        """
        with (
            contextlib.ExitStack() as at_end,
            contextlib.closing(self.log) if self.log else contextlib.nullcontext(),
            stop_on_signals(self.folder / STOP_FILE) as stop,
        ):
            at_end.callback(self._leave_group)
            if self._is_unscored():  # the last run was stopped while it scored an epoch
                self._end_epoch(stop)
            if self.is_fitted and self.state.step == 0 and self.state.best_score is None:
                self._score_first(stop)
            if self.state.step < self.total_steps and not self._is_stale():
                self._require_space()
                self.progress.training_starts(self.total_steps, self.state.step, self._seconds_a_step())
                self._walk(stop)
            exit_code = self._agreed(stop)
            if exit_code is not None:
                raise Interrupted(f"stopped at step {self.state.step}; continue with --resume", exit_code)
        return self.state

    def _leave_group(self) -> None:
        """Let go of what talks to the other processes, also where an error keeps this loop alive.

        DDP is the one owner of a process group that holds Python's lock while the group ends; the group's thread may
        need the lock to end, and both would wait for ever. So DDP goes while the group still has another owner.
        """
        del self.module

    def _walk(self, stop: StopRequest) -> None:
        batches = iter(self._feeder(stop))
        self.phases.mark("start")
        try:
            with contextlib.closing(batches):  # whatever ends the run, its loader processes end with it
                for batch in batches:
                    self.phases.mark("data")
                    if self._agreed(stop) is not None or batch is None:
                        break
                    self._advance(batch, stop)
                    if self._is_stale():
                        break
                    if self._is_due():
                        self.save()
                    self.phases.mark("other")
        except FeedingError:
            self.save()
            raise
        self.save()

    def _advance(self, batch: Batch, stop: StopRequest) -> None:
        """Do a step and what follows from it."""
        loss = self._step_within_memory(batch)
        self.state.losses.append(loss)
        self.state.step += 1
        self.phases.mark("optimiser")
        self.progress.step_done(self.state.step, loss)
        if self._is_unscored():
            self._end_epoch(stop)

    def _feeder(self, stop: StopRequest) -> Feeder:
        """Return the batches that are left."""
        workers = self.recipe.data.workers

        def start(step: int) -> tuple[Iterator[Batch], WorkerStatus]:
            status = WorkerStatus(workers, self.folder / "hung.txt")
            return self._loader(step, self.total_steps, workers, status), status

        return Feeder(
            start,
            first=self.state.step,
            last=self.total_steps,
            names=[clip.key for clip in self.data.clips],
            skipped_clips=self.state.skipped_clips,
            progress=self.progress,
            stop=stop,
            timeout_s=self.recipe.run.worker_timeout_s,
        )

    def _loader(
        self, first_step: int, last_step: int, workers: int, status: WorkerStatus | None = None
    ) -> Iterator[Batch]:
        """Return this process's part of the batches of some steps."""
        data, recipe = self.data, self.recipe
        if recipe.augment.copies and self._copies is None:
            self._copies = PackedCopies(data.clips, self.reader.read, recipe, self.reader.cache.folder)
        dataset = BatchDataset(
            data.clips,
            self.reader,
            self.augmentation,
            data.weights,
            self.sources,
            copies=self._copies,
            status=status,
            skipped_clips=self.state.skipped_clips,
            scenes=data.scenes,
        )
        return make_loader(
            dataset,
            self.shard,
            first_step=first_step,
            last_step=last_step,
            workers=workers,
            timeout_s=recipe.run.worker_timeout_s,
        )

    def _make_frame_targets(self) -> FrameTargets | None:
        """Return the events of the training part over the network's frames; None where no label says when."""
        if not self.data.strong:
            return None
        clips, rule = self.data.clips, self.augmentation.rule
        weight = self.recipe.loss.frame_weight
        return make_frame_targets(
            clips,
            self.data.labels,
            self._frame_axis(),
            self.reader.steps_per_s,
            rule,
            weight=weight,
            scenes=self.data.scenes,
        )

    def _frame_axis(self) -> FrameAxis:
        """Return how frames lie over a crop: those of the network, or where it has none, short ones to look into."""
        reader, length = self.reader, self.augmentation.rule.length
        if not self.network.has_frames:
            hop = reader.steps_per_s * FRAME_S
            return FrameAxis(0.0, hop, max(1, int(length / hop)))
        shape = (1, self.recipe.frontend.n_mels, length) if reader.is_logmel else (1, length)
        quiet = torch.zeros(shape, device=self.fabric.device)
        with torch.inference_mode():
            features = quiet if reader.is_logmel else self.averaged.features(quiet)
            frame_logits = self.averaged.classify(features).frame_logits
        frames = 0 if frame_logits is None else frame_logits.shape[1]
        return frame_axis(self.network.grid, frames, reader.sample_rate / reader.steps_per_s)

    def _agreed(self, stop: StopRequest) -> int | None:
        """Return the exit code if any process was asked to stop: all leave at the same step, or some would wait."""
        code = int(self.group.gather([0 if stop.exit_code is None else stop.exit_code]).max())
        return code if code else None

    def _step_within_memory(self, batch: Batch) -> float:
        """Do one step; where the device has too little memory for it, in smaller parts from now on."""
        statistics = norm_statistics(self.network)
        while True:
            try:
                return self._step(batch)
            except torch.OutOfMemoryError as error:
                self._divide(len(batch.clips), error)
            put_back(self.network, statistics)  # only here is the error gone, and with it all that its stack held

    def _divide(self, size: int, error: torch.OutOfMemoryError) -> None:
        """Compute batches in more parts from now on."""
        device = self.fabric.device
        if self.group.size > 1:  # the others are in the middle of this step, and cannot go back with this one
            raise TrainingError(
                f"a step does not fit into the memory of {device}: lower data.batch_size or raise optim.accumulate, "
                "and resume from the last checkpoint with --fork"
            ) from error
        self.state.micro_batches = more_parts(self._parts, size, device, error)
        self.progress.notice(
            f"a step does not fit into the memory of {device}; computing it in {self.state.micro_batches} parts from "
            f"now on: the same batch of {size} clips, a little slower"
        )

    def _step(self, batch: Batch) -> float:
        """Do one optimiser step; returns the loss."""
        step, optim = self.state.step, self.recipe.optim
        torch.manual_seed(_step_seed(self.recipe.seed, step, self.group.rank))
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * learning_rate_factor(step, self.total_steps, optim.warmup_steps, optim.schedule)
        self.module.train()
        self.optimizer.zero_grad()
        loss = 0.0
        parts = _micro_batches(self._mixed(self.fabric.to_device(batch), step), self._parts)
        for number, (part, share) in enumerate(parts, 1):
            weight = share * self.shard.weight
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
        average(self.averaged, self.network, min(optim.ema, (1 + step) / (10 + step)))
        return loss

    def _mixed(self, batch: Batch, step: int) -> Batch:
        return mix(batch, self.shard.mixup(step), self.sources, by_level=self.recipe.augment.mixup_by == "level")

    @property
    def _parts(self) -> int:
        """How many micro-batches a batch is computed in."""
        return max(self.recipe.optim.accumulate, self.state.micro_batches)

    def _is_unscored(self) -> bool:
        """Whether the last step of an epoch is done and its row is not written."""
        return self.state.step // self.plan.steps > len(self.state.history)

    def _end_epoch(self, stop: StopRequest) -> None:
        """Score the dev part and write the epoch's row; at a wish to stop, leave that to the next run."""
        epoch = self.state.step // self.plan.steps
        row = {"epoch": float(epoch), "step": float(self.state.step), "loss": float(np.mean(self.state.losses))}
        figures = self._dev_figures(stop)
        if figures is None:
            return
        if (spike := spike_in(self.state.losses)) is not None:
            self.progress.notice(f"epoch {epoch}: {spike}")
        self.state.losses = []
        self._keep_best(figures, epoch)
        row |= {f"dev_{name}": value for name, value in figures.items()}
        self.state.history.append(row)
        if self.log is not None:
            self.log.write(row)
        log.info("epoch %d: %s", epoch, ", ".join(f"{name} {value:.6g}" for name, value in row.items()))
        self.progress.epoch_done(row)

    def _dev_figures(self, stop: StopRequest) -> dict[str, float] | None:
        """Return what the averaged weights are worth on dev, or None after a wish to stop."""
        if self.score_dev is None:
            return {}
        self.group.copy_buffers(self.averaged)
        candidate = self.averaged
        if self.recipe.init.keep:
            candidate = copy.deepcopy(self.averaged)
            candidate.load_state_dict(self._candidate())
        try:
            # Several processes score together: none may leave the others waiting.
            with stop.at_once() if self.group.size == 1 else contextlib.nullcontext():
                return self.score_dev(candidate)
        except LeftAtOnce:
            return None

    def _score_first(self, stop: StopRequest) -> None:
        """Let the weights to begin with stand for selection, as epoch 0."""
        figures = self._dev_figures(stop)
        if figures:
            self._keep_best(figures, 0)
            self.state.first_figures = figures

    def _keep_best(self, figures: dict[str, float], epoch: int) -> None:
        """Keep the averaged weights if the first figure is as good as any before.

        Of equal scores the later one wins: small dev parts tie often, and later weights are better calibrated. But
        fitted layers over a network as it was give way only to what is better, or as good and surer of it: they have
        seen no clip too often.
        """
        score, best = next(iter(figures.values()), None), self.state.best_score
        if score is None or (best is not None and score < best):
            return
        if score == best and self.state.best_epoch == 0 and not _is_surer(figures, self.state.first_figures):
            return
        self.state.best_score, self.state.best_epoch = score, epoch
        self.state.tensors = {k: v for k, v in self.state.tensors.items() if not k.startswith("best.")}
        self.state.tensors |= {f"best.{k}": v.clone() for k, v in self._candidate().items()}

    def _candidate(self) -> dict[str, Tensor]:
        """Return the weights that would be shipped now: the averaged ones, with their share of those to begin with."""
        return _with_begin(self.state, self.averaged.state_dict(), self.recipe.init.keep)

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
        best = {k: v for k, v in self.state.tensors.items() if k.startswith(("best.", "begin."))}
        now = {
            **{f"model.{k}": v for k, v in self.network.state_dict().items()},
            **{f"ema.{k}": v for k, v in self.averaged.state_dict().items()},
            **{f"aux.{k}": v for loss in self.objective.losses.values() for k, v in loss.state_dict().items()},
            **{f"optim.{k}": v for k, v in optimizer_tensors(self.optimizer).items()},
        }
        self.state.tensors = now | best
        save_checkpoint(self.folder / "checkpoints", self.state, self.recipe.run.keep_checkpoints)
        if self.state.skipped_clips:
            names = [self.data.clips[i].key for i in self.state.skipped_clips]
            write_json(self.folder / "skipped_clips.json", {"step": self.state.step, "clips": names})
        self._saved_at = time.monotonic()

    def _require_space(self) -> None:
        """Refuse to begin what could not be saved: weights, averages, the best, the first, and the optimiser's two."""
        parts = 6 if self.recipe.init.keep else 5
        size = parts * sum(v.numel() * v.element_size() for v in self.network.state_dict().values())
        kept = max(CHECKPOINTS_OF_SPACE, self.recipe.run.keep_checkpoints + 1)
        require_space(self.folder, kept * size, f"a run with {kept} checkpoints")

    def _require_finite(self, what: str, value: float) -> None:
        """Stop before a step that would fill the weights with NaN."""
        if math.isfinite(value):
            return
        planned = self.plan.batch(*divmod(self.state.step, self.plan.steps))
        names = [
            self.data.clips[replacement_clip(int(i), self.state.skipped_clips, len(self.data.clips))].key
            for i in planned
        ]
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
        while True:
            try:
                return self._time_steps()
            except torch.OutOfMemoryError as error:
                self._divide(self.plan.count, error)

    def _time_steps(self) -> float:
        first = Batch(*self.fabric.to_device(next(self._loader(0, 1, 0))))
        parts = _micro_batches(self._mixed(first, 0), self._parts)
        batch, _ = parts[0]
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
        return min(times) * len(parts)


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of torch's random numbers (dropout) in one step of one process."""
    return int(generator(seed, STEP, step, rank).integers(2**62))


def _micro_batches(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """Split a batch into at most ``count`` parts with their shares of it."""
    size = len(batch.clips)
    if count == 1:
        return [(batch, 1.0)]
    bounds = np.linspace(0, size, min(count, size) + 1).astype(int)
    return [(batch.part(low, high), (high - low) / size) for low, high in itertools.pairwise(bounds)]


def _is_surer(figures: Mapping[str, float], others: Mapping[str, float]) -> bool:
    """Whether a log loss is lower than another; not where there is none."""
    return figures.get("log_loss", math.inf) < others.get("log_loss", math.inf)


def _with_begin(state: State, weights: dict[str, Tensor], keep: float) -> dict[str, Tensor]:
    """Return weights of which so much are those to begin with."""
    begin = {k: v.to(weights[k].device) for k, v in state.part("begin").items()} if keep else {}
    return blend(begin, weights, keep) if begin else weights


def final_weights(state: State, *, selected: bool, keep: float = 0.0) -> dict[str, Tensor]:
    """Return the weights to ship: the best on dev if something was selected, else the last averaged ones.

    Args:
        state: after the last step.
        selected: whether there is a dev part.
        keep: share of the weights to begin with, as in ``init.keep``; the best ones have it already.
    """
    if selected and state.best_score is not None:
        return state.part("best")
    return _with_begin(state, state.part("ema"), keep)
