# SPDX-License-Identifier: Apache-2.0
"""``efficientat``: MobileNetV3 on log-mels; ``nn.modules.efficientat`` is the network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.timeline import seconds_to_samples

if TYPE_CHECKING:
    from auricle.nn.modules.efficientat import EfficientAt
    from auricle.recipe.schema import FrontendSection, Recipe

#: The front end of the published checkpoints of EfficientAT.
KALDI_FRONTEND = {
    "name": "kaldimel",
    "sample_rate": 32_000,
    "n_mels": 128,
    "window_ms": 25.0,
    "hop_ms": 10.0,
    "f_min": 0.0,
    "f_max": 15_000.0,
}
#: How files of published checkpoints end.
CHECKPOINT_SUFFIXES = (".pt", ".pth")


@NETWORKS.register("efficientat")
class EfficientAtOptions(NetworkOptions):
    """EfficientAT: the MobileNetV3 taggers whose published weights were distilled from transformers on AudioSet."""

    frontends = ("kaldimel",)
    defaults = {"frontend": KALDI_FRONTEND}
    published = CHECKPOINT_SUFFIXES

    name: Literal["efficientat"] = Field("efficientat", description="The network.")
    head: Literal["mean_mlp"] = Field("mean_mlp", description="EfficientAT's own; it gives no frames.")
    time_stride: Literal[32] = Field(32, description="Log-mel frames that a step of the last feature map stands for.")
    width: float = Field(
        0.4, ge=0.125, le=8, description="Multiplies all channel counts; 0.4 is that of the published mn04."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the last layer.")

    def hop_samples(self, frontend: FrontendSection) -> int:
        """See the base class."""
        return seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate) * self.time_stride

    def build(self, recipe: Recipe, labels: int) -> EfficientAt:
        """See the base class."""
        from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
        from auricle.nn.modules.efficientat import EfficientAt

        spec = KaldiMelSpec.of(recipe.frontend)
        return EfficientAt(spec, labels, width=self.width, dropout=self.dropout)

    def load_published(self, network: Any, path: str, labels: int, *, new_head: bool) -> None:
        """See the base class: all but the last layer, which knows AudioSet's classes."""
        from auricle.nn.modules.efficientat import take_published

        take_published(network, path, labels, new_head=new_head, kept=("feature_map.", "head.0."))
