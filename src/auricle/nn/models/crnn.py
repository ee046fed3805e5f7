# SPDX-License-Identifier: Apache-2.0
"""``crnn``: log-mel, convolutions, a GRU and a head; the default. ``nn.modules.crnn`` is the network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.timeline import seconds_to_samples

if TYPE_CHECKING:
    from auricle.nn.modules.crnn import Crnn
    from auricle.nn.streaming import RunningCrnn
    from auricle.recipe.schema import FrontendSection, Recipe


@NETWORKS.register("crnn")
class CrnnOptions(NetworkOptions):
    """A convolutional recurrent network on log-mels; the default."""

    name: Literal["crnn"] = Field("crnn", description="The network.")
    head: Literal["attention", "linear_softmax", "concat_mlp"] = Field(
        "attention",
        description="How frames become a clip score: `attention` and `linear_softmax` pool per-class frame scores; "
        "`concat_mlp` concatenates reduced hidden states (fixed clip length, no frames).",
    )
    causal: bool = Field(False, description="Look only backwards in time, so that a stream equals the file.")
    time_stride: Literal[2, 4, 8] = Field(
        2, description="Log-mel frames an output frame stands for; more is faster, fewer is finer in time."
    )
    width: float = Field(1.0, ge=0.125, le=8, description="Multiplies all channel counts.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the recurrent layer and the head.")
    texture: bool = Field(
        True,
        description="Beside a network that looks both ways, a clip-statistics branch for textures (rain, engines): a "
        "linear layer on statistics of the whole window, fitted before training. It changes scores of clips, not of "
        "frames.",
    )

    def problems(self, recipe: Recipe) -> list[str]:
        """See the base class."""
        if self.causal and self.head == "concat_mlp":
            return [f"model.causal needs frame scores, which model.head {self.head} does not have"]
        return []

    def hop_samples(self, frontend: FrontendSection) -> int:
        """See the base class."""
        return seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate) * self.time_stride

    def build(self, recipe: Recipe, labels: int) -> Crnn:
        """See the base class."""
        from auricle.nn.frontends.logmel import LogMelSpec
        from auricle.nn.modules.crnn import Crnn

        f = recipe.frontend
        return Crnn(
            LogMelSpec.of(f),
            labels,
            head=self.head,
            clip_samples=seconds_to_samples(recipe.data.clip_s, f.sample_rate),
            causal=self.causal,
            width=self.width,
            time_stride=self.time_stride,
            dropout=self.dropout,
            texture=self.texture,
        )

    def streaming(self, network: Any) -> RunningCrnn | None:
        """See the base class: a causal network can run on a stream."""
        from auricle.nn.streaming import RunningCrnn

        return RunningCrnn(network) if self.causal else None
