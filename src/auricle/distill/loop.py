# SPDX-License-Identifier: Apache-2.0
"""The steps of a distillation, each a function of (seed, step, store), so that a run continues to the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from auricle.distill.crop_store import CropStore
from auricle.distill.head import fit_head
from auricle.distill.objective import LossWeights, embedding_spread, losses, weighted_sum
from auricle.distill.variation import vary
from auricle.errors import RunError
from auricle.files import atomic_write
from auricle.nn.modules.mobilenet import MobileNet

_PURPOSE, _VARIATION = 51_413, 51_414
#: Share of the way that running statistics of norms move in a step.
NORM_MOMENTUM = 0.01
#: No class is taken to be rarer than this before anything is learnt.
LEAST_SHARE = 1e-4
#: What norms keep beside weights.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
#: Items that say how far embeddings spread and how often each class is there.
_FIRST_ITEMS = 500


@dataclass(frozen=True)
class LoopPlan:
    """What a distillation does.

    Attributes:
        steps: in all.
        batch: items a step.
        lr: learning rate after ``warmup`` steps; it falls to nothing over the last ``cooldown`` of the steps, so that a
            run can be given more steps, or fewer, before that ("WSD", Hu et al. 2024).
        mixtures: share of the items that are mixtures of several sources.
        ema: decay of the averaged weights, ramped up.
        recalibration: batches that the norms are estimated on.
        held: share of the steps, the last ones, in which norms keep statistics of the most frequent length, estimated
            anew where they begin: what is used with these learns with these, on crops of all lengths ("Rethinking
            'Batch' in BatchNorm", Wu and Johnson 2021, section 3.3).
        equaliser_db: bound of the frequency response that changes at each look; crops are turned in time too.
        checkpoint: steps between two checkpoints.
        seed: of the order of items, and dropout.
        weights: of the parts of the loss.
    """

    steps: int = 1_500
    batch: int = 32
    lr: float = 1e-3
    warmup: int = 50
    cooldown: float = 0.35
    weight_decay: float = 0.01
    mixtures: float = 0.6
    ema: float = 0.998
    recalibration: int = 25
    held: float = 0.35
    equaliser_db: float = 3.0
    checkpoint: int = 100
    seed: int = 0
    weights: LossWeights = field(default_factory=LossWeights)


#: Gets the step that is done and the parts of its loss.
OnStep = Callable[[int, Mapping[str, float]], None]


def distil(
    student: MobileNet,
    head: nn.Sequential,
    store: CropStore,
    plan: LoopPlan,
    checkpoint: Path,
    on_step: OnStep,
    *,
    new_frames: bool = True,
    new_norms: bool = True,
) -> MobileNet:
    """Train ``student`` on a store, resuming at ``checkpoint`` if there is one; returns it with averaged weights.

    Args:
        student: is changed.
        head: of the teacher, from embeddings to logits.
        store: crops with what the teacher says of them.
        plan: what is done.
        checkpoint: a file.
        on_step: is called after each step.
        new_frames: whether the student's frame scores begin at random.
        new_norms: whether the statistics of its norms are estimated before the first step.

    Raises:
        RunError: the checkpoint is that of another plan, or the loss is not finite.
    """
    own_head = student.head[0].weight.shape != head[0].weight.shape
    if not own_head:  # the teacher's own: it knows classes that no crop holds, and would forget them
        student.head.load_state_dict(head.state_dict())
        student.head.requires_grad_(False)
    run, first = _Run(student, plan), store.batch(store.of_frequent_length()[:_FIRST_ITEMS])
    spread = embedding_spread(first.deep)
    for norm in _norms(student):
        norm.momentum = NORM_MOMENTUM
    if checkpoint.is_file():
        run.load(checkpoint)
    else:
        if own_head:
            fit_head(student.head, head, store, plan.seed)
        if new_frames:
            begin_at_shares(student.frame_head, torch.sigmoid(first.logits).mean(0))
        run.begin(store if new_norms else None)
    hold = plan.steps - round(plan.held * plan.steps)
    for step in range(run.step, plan.steps):
        if step == hold:
            run.hold(store)
        torch.manual_seed(hash_of(plan.seed, step))
        rng = np.random.default_rng([plan.seed, _VARIATION, step])
        batch = vary(store.batch(draw_items(store, plan, step)), rng, plan.equaliser_db)
        student.train()
        student.head.train(own_head)
        _train_norms(student, step < hold)
        parts = losses(student, batch, head, spread)
        loss = weighted_sum(parts, plan.weights)
        if not bool(torch.isfinite(loss)):
            raise RunError(f"the loss is {float(loss)} at step {step}; use a lower learning rate")
        run.advance(loss, step)
        on_step(
            step + 1, {"loss": float(loss.detach()), **{name: float(value.detach()) for name, value in parts.items()}}
        )
        if (step + 1) % plan.checkpoint == 0 or step + 1 == plan.steps:
            atomic_write(checkpoint, run.content())
    student.load_state_dict(run.averaged)
    student.head.requires_grad_(True)
    return student.eval()


def draw_items(store: CropStore, plan: LoopPlan, step: int, *, frequent: bool = False) -> list[int]:
    """Return the items of a step, which are of one length.

    The more items have a length, the more often it comes; with ``frequent`` it is that of most.
    """
    rng = np.random.default_rng([plan.seed, _PURPOSE, step])
    lengths, numbers = np.unique(store.frames, return_counts=True)
    same = store.frames == (lengths[numbers.argmax()] if frequent else rng.choice(lengths, p=numbers / numbers.sum()))
    several, single = np.flatnonzero(same & (store.counts > 1)), np.flatnonzero(same & (store.counts == 1))
    mixed = min(plan.batch, round(plan.batch * plan.mixtures)) if len(several) else 0
    drawn = []
    for items, count in ((several, mixed), (single, plan.batch - mixed)):
        if count:
            weights = store.weights[items]
            drawn += rng.choice(items, count, p=weights / weights.sum()).tolist()
    return drawn


def recalibrate(student: MobileNet, store: CropStore, plan: LoopPlan) -> None:
    """Estimate the statistics of all norms anew: the mean over some batches of the most frequent length.

    Sound and silence have other shares in short crops. With the statistics of all lengths together the loss of the
    embeddings of crops of 5 s was .53, with those of their own .45, and short crops lost little.
    """
    norms = _norms(student)
    for norm in norms:
        norm.reset_running_stats()
    student.train()
    with torch.no_grad():
        for number in range(plan.recalibration):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            items = draw_items(store, plan, -1 - number + 2**31, frequent=True)
            student.classify(store.batch(items).features)
    for norm in norms:
        norm.momentum = NORM_MOMENTUM


def _norms(student: MobileNet) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [m for m in student.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def _train_norms(student: MobileNet, moving: bool) -> None:
    """Let norms go by each batch, or by their statistics as they are."""
    for norm in _norms(student):
        norm.train(moving)


def begin_at_shares(layer: nn.Linear, shares: Tensor) -> None:
    """Let the scores of a layer begin at how often each class is there (Lin et al. 2017, section 4.1)."""
    shares = shares.clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    layer.weight.data.mul_(0.1)
    layer.bias.data = torch.log(shares / (1 - shares))


def hash_of(seed: int, step: int) -> int:
    """Return a seed for torch out of two numbers."""
    return int(np.random.SeedSequence([seed, _PURPOSE, step]).generate_state(1)[0])


def _unchanging(plan: LoopPlan) -> str:
    """Return what of a plan must stay when a run continues: all but where it ends and how often it is saved."""
    return json.dumps({k: v for k, v in asdict(plan).items() if k not in {"steps", "checkpoint"}})


class _Run:
    """Weights, their average, the optimiser and the step."""

    def __init__(self, student: MobileNet, plan: LoopPlan) -> None:
        self.student, self.plan, self.step = student, plan, 0
        self.averaged: dict[str, Tensor] = {}
        named = {name: p for name, p in student.named_parameters() if p.requires_grad}
        decayed = [p for p in named.values() if p.ndim > 1]
        plain = [p for p in named.values() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.lr)
        self.parameters = [*decayed, *plain]

    def begin(self, store: CropStore | None) -> None:
        """Start the average at the weights as they are; a store says what statistics norms begin with."""
        if store is not None:
            recalibrate(self.student, store, self.plan)
        self.averaged = {k: v.detach().clone() for k, v in self.student.state_dict().items()}

    def hold(self, store: CropStore) -> None:
        """Estimate the statistics that norms keep from now on, in the average too: it is used with these."""
        recalibrate(self.student, store, self.plan)
        own = self.student.state_dict()
        self.averaged.update({name: own[name].clone() for name in own if name.endswith(STATISTICS)})

    def advance(self, loss: Tensor, step: int) -> None:
        """Take one step of the optimiser, and of the average."""
        plan = self.plan
        rate = min((step + 1) / plan.warmup, 1.0, (plan.steps - step) / max(1.0, plan.cooldown * plan.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = plan.lr * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        self.step = step + 1
        decay = min(plan.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.student.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value.detach(), 1 - decay)
            else:
                self.averaged[name].copy_(value)

    def content(self) -> bytes:
        """Return a checkpoint."""
        tensors = {f"now.{k}": v.contiguous() for k, v in self.student.state_dict().items()}
        tensors |= {f"mean.{k}": v.contiguous() for k, v in self.averaged.items()}
        for number, parameter in enumerate(self.parameters):
            state = self.optimizer.state[parameter]
            tensors |= {f"adam.{number}.{k}": state[k] for k in ("exp_avg", "exp_avg_sq", "step")}
        return save_tensors(tensors, {"step": str(self.step), "plan": _unchanging(self.plan)})

    def load(self, checkpoint: Path) -> None:
        """Continue where a checkpoint was written."""
        with safe_open(checkpoint, "pt") as file:
            facts: dict[str, Any] = file.metadata()
            if facts["plan"] != _unchanging(self.plan):
                raise RunError(
                    f"{checkpoint} is of a run with {facts['plan']}; give the same options, or another folder"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self.step = int(facts["step"])
        self.student.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("now.")})
        self.averaged = {k[5:]: v for k, v in tensors.items() if k.startswith("mean.")}
        for number, parameter in enumerate(self.parameters):
            self.optimizer.state[parameter] = {
                k: tensors[f"adam.{number}.{k}"] for k in ("exp_avg", "exp_avg_sq", "step")
            }
