# SPDX-License-Identifier: Apache-2.0
"""``mobilenet``: EfficientAT's layers on a coarse log-mel, with frames; ``nn.modules.mobilenet`` is the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.timeline import seconds_to_samples

if TYPE_CHECKING:
    from auricle.nn.modules.mobilenet import MobileNet
    from auricle.recipe.schema import FrontendSection, Recipe

#: Frames of 20 ms without overlap: a quarter of what EfficientAT sees.
SINE_FRONTEND = {
    "name": "sinemel",
    "sample_rate": 16_000,
    "n_mels": 52,
    "window_ms": 20.0,
    "hop_ms": 20.0,
    "f_min": 0.0,
    "f_max": None,
}
#: Residuals that change channels or resolution; the others add to what they get, and can go.
NEEDED_RESIDUALS = (1, 3, 6, 10, 12)
RESIDUAL_COUNT = 15


@NETWORKS.register("mobilenet")
class MobileNetOptions(NetworkOptions):
    """EfficientAT's layers on a coarse log-mel with frame scores: what `auricle compress` makes, and `general` is."""

    frontends = ("sinemel",)
    defaults = {"frontend": SINE_FRONTEND, "loss": {"instance_weight": 1.0}}
    #: A network that knows sounds already needs a few passes, and stays half of what it was. Its thin layers are slower
    #: in bf16 on processors, also on those with units for it.
    fine_tuning = {
        "init": {"keep": 0.5},
        "optim": {"lr": 6e-4, "epochs": 10, "warmup_steps": 20},
        "augment": {"mixup_alpha": 0.7},
        "scenes": {"share": 0.4},
        "run": {"precision": "float32"},
    }

    name: Literal["mobilenet"] = Field("mobilenet", description="The network.")
    head: Literal["mean_mlp"] = Field(
        "mean_mlp", description="EfficientAT's own for clips; frames have a linear layer of their own."
    )
    time_stride: Literal[4] = Field(4, description="Log-mel frames an output frame stands for.")
    width: float = Field(
        0.4, ge=0.125, le=8, description="Multiplies all channel counts; 0.4 is that of the published mn04."
    )
    residuals: tuple[Annotated[int, Field(ge=0, lt=RESIDUAL_COUNT)], ...] = Field(
        tuple(range(RESIDUAL_COUNT)),
        description="Which of EfficientAT's fifteen residuals there are; 1, 3, 6, 10 and 12 change the shape and are "
        "needed.",
    )
    hidden: int | None = Field(
        None, ge=8, le=8192, description="Units of the layer before the classes; null is as the published network has."
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the last layers.")

    def problems(self, recipe: Recipe) -> list[str]:
        """See the base class."""
        frontend, problems = recipe.frontend, []
        if frontend.window_ms != frontend.hop_ms:
            problems.append(
                f"frontend.window_ms {frontend.window_ms:g} is not frontend.hop_ms {frontend.hop_ms:g}: frames of "
                "front end sinemel do not overlap"
            )
        missing = sorted(set(NEEDED_RESIDUALS) - set(self.residuals))
        if missing:
            problems.append(
                f"model.residuals lacks {missing[0]}, which changes channels or resolution; needed are "
                f"{', '.join(map(str, NEEDED_RESIDUALS))}"
            )
        return problems

    def hop_samples(self, frontend: FrontendSection) -> int:
        """See the base class."""
        return seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate) * self.time_stride

    def build(self, recipe: Recipe, labels: int) -> MobileNet:
        """See the base class."""
        from auricle.nn.frontends.sine_mel import SineMelSpec
        from auricle.nn.modules.mobilenet import MobileNet

        spec = SineMelSpec.of(recipe.frontend)
        return MobileNet(
            spec, labels, width=self.width, residuals=self.residuals, hidden=self.hidden, dropout=self.dropout
        )
