# SPDX-License-Identifier: Apache-2.0
"""``rawnet``: RawNet2-lite on the waveform itself; ``nn.modules.rawnet`` is the network itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from auricle.recipe.network import NETWORKS, OF_CHANNELS, OF_WAVEFORMS, NetworkOptions
from auricle.recipe.section import Count, Section
from auricle.timeline import seconds_to_samples

if TYPE_CHECKING:
    from auricle.nn.modules.rawnet import RawNet
    from auricle.recipe.schema import FrontendSection, Recipe


class RawSection(Section):
    """The shape of ``rawnet``."""

    first: Literal["conv", "sinc", "fourier"] = Field(
        "fourier",
        description="First layer: free kernels, band-pass filters of which only the edges are learnt (`sinc`), or "
        "pairs of kernels that begin as windowed cosines and sines (`fourier`).",
    )
    kernel: int = Field(256, ge=1, le=4_096, description="Samples that a kernel of the first layer spans.")
    stride: int = Field(128, ge=1, le=1_024, description="Samples between two outputs of the first layer.")
    rectify: Literal["none", "abs", "log"] = Field(
        "log",
        description="Output of the first layer: as it is, its magnitude, or the logarithm of its power.",
    )
    level: bool = Field(True, description="Bring each window to the same level before the first layer.")
    centre: bool = Field(
        True, description="Take from each filter its mean over the window: what a steady channel or voice colours."
    )
    filter_mask: int = Field(
        8, ge=0, le=1_024, description="In training, blank up to so many neighbouring filters of the first layer."
    )
    channels: tuple[Count, Count, Count] = Field(
        (64, 64, 96), description="Channels of the first layer and of the two residual blocks, at width 1."
    )
    block_kernel: Literal[1, 3, 5, 7, 9] = Field(3, description="Kernel of the convolutions in the residual blocks.")
    pools: tuple[Count, Count, Count] = Field(
        (1, 4, 4), description="Pooling over time after the first layer and after each residual block; 1 is none."
    )
    hidden: int = Field(48, ge=1, le=4_096, description="Units of the recurrent layer in each direction, at width 1.")

    def problems(self) -> list[str]:
        """Return what does not go together."""
        problems = []
        if self.kernel < self.stride:
            problems.append(
                f"model.raw.kernel {self.kernel} is below model.raw.stride {self.stride}: samples would be skipped"
            )
        if self.first == "fourier" and self.rectify == "none":
            problems.append("model.raw.first fourier makes pairs, which model.raw.rectify abs or log joins; it is none")
        if self.filter_mask > self.channels[0]:
            problems.append(
                f"model.raw.filter_mask {self.filter_mask} is above the {self.channels[0]} filters there are"
            )
        return problems


@NETWORKS.register("rawnet")
class RawNetOptions(NetworkOptions):
    """RawNet2-lite, for synthetic voices: the waveform, two residual blocks, a GRU, scores of the clip."""

    frontends = ("waveform",)
    augmentations = OF_WAVEFORMS | OF_CHANNELS
    # The window rule of the anti-spoofing field (64,600 samples at 16 kHz, a short clip repeated); the rest was
    # chosen for systems outside the training data, see docs/results/spoof-recipe.md.
    defaults = {
        "frontend": {"name": "waveform"},
        "data": {
            "clip_s": 4.0375,
            "pad": "repeat",
            "aggregate": "mean_logit",
            "batch_size": 32,
            "balance": "groups",
            "dev": "none",
            "calibration_folds": 3,
        },
        "augment": {
            "mixup_alpha": 0,
            "shift": False,
            "speed": (0.87, 1.15),
            "masks": 1,
            "time_mask_ms": 200,
            "gain_db": 6,
            "noise_snr_db": (5, 40),
            "noise_share": 0.3,
            "filter_share": 0.3,
            "impulse_share": 0.1,
        },
        "optim": {"lr": 0.004, "weight_decay": 0.05, "epochs": 10, "warmup_steps": 40, "ema": 0.98},
    }

    name: Literal["rawnet"] = Field("rawnet", description="The network.")
    head: Literal["final_state", "state_attention"] = Field(
        "state_attention",
        description="What the clip score is computed from: the last hidden state of each direction (`final_state`), or "
        "a mean over all with learnt weights; there are no frames.",
    )
    width: float = Field(1.0, ge=0.125, le=8, description="Multiplies all channel counts.")
    dropout: float = Field(0.15, ge=0, lt=1, description="Dropout before the recurrent layer and the last layer.")
    raw: RawSection = RawSection()

    def problems(self, recipe: Recipe) -> list[str]:
        """See the base class."""
        return self.raw.problems()

    def hop_samples(self, frontend: FrontendSection) -> int:
        """See the base class."""
        return self.raw.stride * math.prod(self.raw.pools)

    def build(self, recipe: Recipe, labels: int) -> RawNet:
        """See the base class."""
        from auricle.nn.frontends.raw import FirstLayer
        from auricle.nn.modules.rawnet import RawNet

        raw, rate = self.raw, recipe.frontend.sample_rate
        channels = [max(1, round(count * self.width)) for count in raw.channels]
        first = FirstLayer(
            raw.first,
            channels[0],
            raw.kernel,
            raw.stride,
            rectify=raw.rectify,
            pool=raw.pools[0],
            level=raw.level,
            centre=raw.centre,
        )
        return RawNet(
            first,
            labels,
            channels=channels,
            pools=raw.pools[1:],
            block_kernel=raw.block_kernel,
            hidden=max(1, round(raw.hidden * self.width)),
            head=self.head,
            filter_mask=min(raw.filter_mask, channels[0]),
            dropout=self.dropout,
            clip_samples=seconds_to_samples(recipe.data.clip_s, rate),
            sample_rate=rate,
        )
