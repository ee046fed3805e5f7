# SPDX-License-Identifier: Apache-2.0
"""The recipe: every choice of a training run, typed, described, and read strictly from YAML.

Unknown keys, duplicate keys, wrong types and impossible combinations are all reported at once,
each with its path (``optim.lr``) and the nearest known key. Nothing in a recipe is executed or expanded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from auricle.errors import ConfigError
from auricle.registry import nearest

MAX_YAML_BYTES = 1_000_000
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    """Base of all sections: frozen, strict about unknown keys, numbers must be finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class ModelSection(_Section):
    """The network."""

    name: str = Field("crnn", description="Network by its registered name.")
    head: Literal["attention", "linear_softmax", "concat_mlp", "mean_mlp"] = Field(
        "attention",
        description="How frames become a clip score: `attention` and `linear_softmax` pool per-class "
        "frame scores; `concat_mlp` concatenates reduced hidden states (fixed clip length, no frames); "
        "`mean_mlp` is EfficientAT's own.",
    )
    causal: bool = Field(False, description="Look only backwards in time, so that a stream equals the file.")
    time_stride: Literal[2, 4, 8, 32] = Field(
        2,
        description="Log-mel frames an output frame stands for; more is faster, fewer is finer in time. "
        "A CRNN has 2, 4 or 8, EfficientAT 32.",
    )
    width: float = Field(1.0, ge=0.125, le=8, description="Multiplies all channel counts.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the recurrent layer and the head.")


class FrontendSection(_Section):
    """The log-mel front end, which lives inside the network and inside the exported graph."""

    name: Literal["logmel", "kaldimel"] = Field(
        "logmel", description="Front end by name; `kaldimel` is EfficientAT's own."
    )
    sample_rate: int = Field(16_000, ge=4_000, le=96_000, description="Rate that recordings are resampled to, in Hz.")
    n_mels: int = Field(64, ge=8, le=256, description="Mel bands.")
    window_ms: float = Field(40.0, gt=0, le=200, description="Hann window in milliseconds.")
    hop_ms: float = Field(20.0, gt=0, le=100, description="Step between frames in milliseconds.")
    f_min: float = Field(30.0, ge=0, description="Lowest mel edge in Hz.")
    f_max: float | None = Field(None, gt=0, description="Highest mel edge in Hz; half the sample rate if null.")


class DataSection(_Section):
    """How recordings become batches."""

    clip_s: float = Field(
        5.0, gt=0, le=600, description="Length of a training crop and of a scoring window in seconds."
    )
    hop_s: float | None = Field(None, gt=0, description="Step between scoring windows in seconds; half a clip if null.")
    pad: Literal["zero", "repeat"] = Field("zero", description="How a short clip or last window is filled.")
    batch_size: int = Field(16, ge=1, le=65_536, description="Crops a step.")
    workers: int = Field(2, ge=0, le=256, description="Loader processes; 0 loads in the training process.")
    balance: Literal["none", "sampler", "loss"] = Field(
        "none", description="Against rare classes: draw them more often (`sampler`) or weigh them more (`loss`)."
    )
    negatives: Literal["auto", "use", "ignore"] = Field(
        "auto", description="Clips labelled other/background/_negative_: train silence on them, or leave them out."
    )
    dev_fraction: float = Field(
        0.15, gt=0, lt=0.9, description="Share of the groups held out as dev where no split is given."
    )


class AugmentSection(_Section):
    """Random changes to training crops, on the waveform first and on the log-mel after it."""

    mixup_alpha: float = Field(
        0.5, ge=0, description="Beta(a, a) of mixing two crops and their labels; 0 switches it off."
    )
    shift: bool = Field(True, description="Roll the crop by a random time.")
    speed: tuple[float, float] = Field(
        (1.0, 1.0), description="Range of playback speed (changes pitch too); [1, 1] is off."
    )
    time_mask_ms: float = Field(200.0, ge=0, description="Longest time mask in milliseconds.")
    freq_mask_mels: int = Field(8, ge=0, description="Widest frequency mask in mel bands.")
    masks: int = Field(1, ge=0, le=16, description="Masks of each kind a crop.")
    gain_db: float = Field(20.0, ge=0, le=60, description="Gain is drawn from plus or minus this many dB.")
    noise_snr_db: tuple[float, float] | None = Field(
        (10.0, 40.0), description="Range of signal-to-noise ratio of added coloured noise in dB; null is off."
    )
    noise_share: Fraction = Field(0.25, description="Share of crops that get noise.")


class TeacherSection(_Section):
    """Soft labels."""

    labels: str | None = Field(None, description="CSV of soft labels: `filename` and one column a class.")
    soft_weight: Fraction = Field(0.9, description="Weight of the soft labels where a clip has both kinds.")
    temperature: Positive = Field(1.0, description="Softens one-of-n targets and scores before they are compared.")


class OptimSection(_Section):
    """Optimiser and schedule."""

    name: Literal["adamw"] = Field("adamw", description="Optimiser.")
    lr: float = Field(0.0015, gt=0, le=1, description="Peak learning rate.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay (not on norms and biases).")
    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the training part.")
    warmup_steps: int = Field(100, ge=0, description="Steps of linear warm-up.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="What the learning rate does after warm-up.")
    clip_norm: float | None = Field(5.0, gt=0, description="Largest norm of the gradient; null is off.")
    ema: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the averaged weights, ramped up as min(ema, (1 + t) / (10 + t)); 0 is off.",
    )
    accumulate: int = Field(1, ge=1, le=4_096, description="Micro-batches a step.")


class RunSection(_Section):
    """Where and how the run goes."""

    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="Arithmetic of the network; `auto` takes what the device does best."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train.")
    checkpoint_every_s: float = Field(
        60.0, gt=0, description="Seconds between checkpoints (one at the end of each epoch that is due)."
    )
    checkpoint_every_steps: int | None = Field(
        None, ge=1, description="Steps between checkpoints, in addition; null is off."
    )
    early_stop: int | None = Field(
        20, ge=1, description="Stop after this many epochs without a dev score as good as the best; null is off."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; all cores if null.")


class ExportSection(_Section):
    """What a smaller form of the model may cost; `auricle export --int8` refuses beyond it."""

    int8_loss: Fraction = Field(
        0.005, description="Most that the model's figure (accuracy, or mAP) may lose in 8 bits; 0.005 is half a point."
    )
    int8_shift: Fraction = Field(
        0.1, description="Most that a score of the stored test input, or of noise, may move in 8 bits."
    )


class Recipe(_Section):
    """Everything that decides a training run, beside the data."""

    task: Literal["auto", "single", "multi"] = Field(
        "auto", description="One label a clip, or any number; `auto` looks at the labels."
    )
    model: ModelSection = ModelSection()
    frontend: FrontendSection = FrontendSection()
    data: DataSection = DataSection()
    augment: AugmentSection = AugmentSection()
    teacher: TeacherSection = TeacherSection()
    optim: OptimSection = OptimSection()
    run: RunSection = RunSection()
    export: ExportSection = ExportSection()
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random.")

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        """Check what single fields cannot: all problems are collected before any is raised."""
        problems = []
        f, d, a = self.frontend, self.data, self.augment
        if f.f_max is not None and f.f_max > f.sample_rate / 2:
            problems.append(f"frontend.f_max {f.f_max:g} Hz is above half the sample rate ({f.sample_rate / 2:g} Hz)")
        if f.f_min >= (f.sample_rate / 2 if f.f_max is None else f.f_max):
            problems.append(f"frontend.f_min {f.f_min:g} Hz is not below the highest mel edge")
        if f.hop_ms > f.window_ms:
            problems.append(
                f"frontend.hop_ms {f.hop_ms:g} is above frontend.window_ms {f.window_ms:g}: samples would be skipped"
            )
        if d.hop_s is not None and d.hop_s > d.clip_s:
            problems.append(
                f"data.hop_s {d.hop_s:g} is above data.clip_s {d.clip_s:g}: parts of a recording would be skipped"
            )
        if a.freq_mask_mels > f.n_mels:
            problems.append(f"augment.freq_mask_mels {a.freq_mask_mels} is above frontend.n_mels {f.n_mels}")
        for name, pair, least in (("speed", a.speed, 0.25), ("noise_snr_db", a.noise_snr_db, -math.inf)):
            if pair is not None and not least <= pair[0] <= pair[1]:
                problems.append(f"augment.{name} {list(pair)} is not a range from low to high")
        if self.model.causal and self.model.head == "concat_mlp":
            problems.append("model.causal needs frame scores, which model.head concat_mlp does not have")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error, and ``1e-3`` is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys, which plain YAML lets the last one win."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise ConfigError(
                    "the recipe cannot be read", [f"line {key_node.start_mark.line + 1}: key {key!r} stands twice"]
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse anchors, with which a small file can unfold into gigabytes."""
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise ConfigError("the recipe cannot be read", [f"line {line}: YAML aliases are not supported"])
        return super().compose_node(parent, index)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text safely; ``where`` names the source in errors."""
    if len(text) > MAX_YAML_BYTES:
        raise ConfigError(f"{where} cannot be read", [f"{len(text)} characters; a recipe has at most {MAX_YAML_BYTES}"])
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML", [" ".join(str(error).split())]) from error
    except RecursionError as error:
        raise ConfigError(f"{where} cannot be read", ["it is nested too deeply"]) from error


def _known_keys(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Return the legal keys at ``path`` inside ``model``."""
    for part in path:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _explain(error: ValidationError) -> list[str]:
    """Turn pydantic's report into lines that name the key as the user typed it."""
    lines = []
    for item in error.errors():
        path = item["loc"]
        name = ".".join(map(str, path))
        if item["type"] == "extra_forbidden":
            known = _known_keys(Recipe, tuple(path[:-1]))
            lines.append(f"unknown key {name}{nearest(str(path[-1]), known)}; known here: {', '.join(known)}")
        elif not path:
            lines.extend(str(item["msg"]).removeprefix("Value error, ").splitlines())
        else:
            lines.append(f"{name} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}")
    return lines


def make_recipe(values: Mapping[str, Any] | None, where: str = "the recipe") -> Recipe:
    """Check ``values`` and return the recipe; raises ``ConfigError`` with every problem."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is not a table of settings", [f"found {type(values).__name__}"])
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where} has settings that cannot be used", _explain(error)) from error


def _set_path(values: dict[str, Any], assignment: str) -> None:
    """Apply one ``a.b=c`` to a nested dictionary."""
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            "an override cannot be read", [f"{assignment!r}: expected name=value, such as optim.epochs=20"]
        )
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError("an override cannot be read", [f"{assignment!r}: {parent} is a value, not a section"])
        values = inner
    values[last] = parse_yaml(text, f"the value of {key.strip()}")


def load_recipe(
    path: str | Path | None = None, overrides: Iterable[str] = (), base: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe file, apply ``a.b=c`` overrides, and check the whole.

    Args:
        path: a YAML file; None starts from the defaults.
        overrides: assignments in the order they were typed; the last one wins.
        base: values under the file's own, for callers that have defaults (a model name, say).
    """
    return make_recipe(read_values(path, overrides, base), "the recipe" if path is None else f"the recipe {path}")


def read_values(
    path: str | Path | None = None, overrides: Iterable[str] = (), base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read what ``load_recipe`` checks, as nested dictionaries; arguments as there."""
    values: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in (base or {}).items()}
    if path is not None:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the recipe {path} cannot be read", [str(error)]) from error
        parsed = parse_yaml(text, f"the recipe {path}") or {}
        if not isinstance(parsed, dict):
            raise ConfigError(f"the recipe {path} is not a table of settings", [f"found {type(parsed).__name__}"])
        for key, value in parsed.items():
            if isinstance(value, dict) and isinstance(values.get(key), dict):
                values[key] = {**values[key], **value}
            else:
                values[key] = value
    for assignment in overrides:
        _set_path(values, assignment)
    return values


def dump_recipe(recipe: Recipe) -> str:
    """Return the whole recipe as YAML; reading it back gives an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
