# SPDX-License-Identifier: Apache-2.0
"""``mobilecrnn``: the first layers of EfficientAT under a GRU; ``nn.modules.mobilecrnn`` is the network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from auricle.nn.models.efficientat import CHECKPOINT_SUFFIXES, KALDI_FRONTEND
from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.timeline import seconds_to_samples

if TYPE_CHECKING:
    from auricle.nn.modules.mobilecrnn import MobileCrnn
    from auricle.recipe.schema import FrontendSection, Recipe


@NETWORKS.register("mobilecrnn")
class MobileCrnnOptions(NetworkOptions):
    """The first layers of a MobileNetV3 tagger under a GRU: a small student that can begin as its teacher."""

    frontends = ("kaldimel",)
    defaults = {"frontend": KALDI_FRONTEND}
    published = CHECKPOINT_SUFFIXES

    name: Literal["mobilecrnn"] = Field("mobilecrnn", description="The network.")
    head: Literal["statistics", "linear_softmax"] = Field(
        "statistics",
        description="How frames become a clip score: `linear_softmax` pools per-class frame scores; `statistics` pools "
        "them by attention and adds a linear layer on mean and deviation over time.",
    )
    time_stride: Literal[16] = Field(16, description="Log-mel frames an output frame stands for.")
    width: float = Field(
        0.4, ge=0.125, le=8, description="Multiplies the channels of the trunk; 0.4 is that of the published mn04."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the recurrent layer and the head.")

    def hop_samples(self, frontend: FrontendSection) -> int:
        """See the base class."""
        return seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate) * self.time_stride

    def build(self, recipe: Recipe, labels: int) -> MobileCrnn:
        """See the base class."""
        from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
        from auricle.nn.modules.mobilecrnn import MobileCrnn

        spec = KaldiMelSpec.of(recipe.frontend)
        return MobileCrnn(spec, labels, head=self.head, width=self.width, dropout=self.dropout)

    def load_published(self, network: Any, path: str, labels: int, *, new_head: bool) -> None:
        """See the base class: the trunk."""
        from auricle.nn.modules.efficientat import take_published

        take_published(network, path, labels, new_head=new_head, kept=("feature_map.",))
