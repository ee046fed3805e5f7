# SPDX-License-Identifier: Apache-2.0
"""The recipe: every choice of a training run, typed, described, and read strictly from YAML.

Unknown keys, duplicate keys, wrong types and impossible combinations are all reported at once,
each with its path (``optim.lr``) and the nearest known key. Nothing in a recipe is executed or expanded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from auricle.errors import ConfigError, UsageError
from auricle.recipe.network import (
    NetworkOptions,
    options_class,
    read_options,
    unused_keys,
)
from auricle.recipe.section import Fraction, Positive, Section
from auricle.registry import nearest

MAX_YAML_BYTES = 1_000_000
#: What PyYAML lets through from its makers of dates, numbers and keys: 31 February, 5,000 digits, a list as a key.
_NO_VALUE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError)


class FrontendSection(Section):
    """What lies before the network's own layers; it lives inside the network and inside the exported graph."""

    name: Literal["logmel", "kaldimel", "sinemel", "waveform"] = Field(
        "logmel",
        description="Front end by name; `kaldimel` is EfficientAT's own; `sinemel` is that of `mobilenet`, a sine "
        "window without overlap; `waveform` is for `rawnet`, which takes the "
        "samples: the other keys but `sample_rate` say nothing then.",
    )
    sample_rate: int = Field(16_000, ge=4_000, le=96_000, description="Rate that recordings are resampled to, in Hz.")
    n_mels: int = Field(64, ge=8, le=256, description="Mel bands.")
    window_ms: float = Field(40.0, gt=0, le=200, description="Window in milliseconds.")
    hop_ms: float = Field(20.0, gt=0, le=100, description="Step between frames in milliseconds.")
    f_min: float = Field(30.0, ge=0, description="Lowest mel edge in Hz.")
    f_max: float | None = Field(None, gt=0, description="Highest mel edge in Hz; half the sample rate if null.")


class DataSection(Section):
    """How recordings become batches."""

    clip_s: float = Field(
        5.0, gt=0, le=600, description="Length of a training crop and of a scoring window in seconds."
    )
    hop_s: float | None = Field(None, gt=0, description="Step between scoring windows in seconds; half a clip if null.")
    pad: Literal["zero", "repeat"] = Field("zero", description="How a short clip or last window is filled.")
    aggregate: Literal["auto", "mean", "max", "mean_logit"] = Field(
        "auto",
        description="From the scores of windows to that of a recording; `auto` is the mean where a clip has one label, "
        "else the maximum.",
    )
    batch_size: int = Field(16, ge=1, le=65_536, description="Crops a step.")
    workers: int = Field(2, ge=0, le=256, description="Loader processes; 0 loads in the training process.")
    balance: Literal["none", "sampler", "groups", "loss"] = Field(
        "none",
        description="Against rare classes: draw them more often (`sampler`) or weigh them more (`loss`); `groups` also "
        "draws rare groups of a class (speakers, spoofing systems) more often.",
    )
    negatives: Literal["auto", "use", "ignore"] = Field(
        "auto", description="Clips labelled other/background/_negative_: train silence on them, or leave them out."
    )
    dev: Literal["given", "inside", "none"] = Field(
        "given",
        description="The part that selects: what the data calls dev, or where it says nothing, a share of the groups; "
        "always such a share, out of train (`inside`); or nothing, so that the last weights count (`none`). "
        "A given dev that does not select is left alone.",
    )
    dev_fraction: float = Field(
        0.15, gt=0, lt=0.9, description="Share of the groups held out as dev where no split is given."
    )
    dev_systems: tuple[str, ...] = Field(
        (), description="Spoofing systems that only dev may have: dev then measures systems that are not in training."
    )
    exclude_systems: tuple[str, ...] = Field((), description="Spoofing systems whose clips are left out of everything.")
    calibration_folds: int = Field(
        0,
        ge=0,
        le=20,
        description="For a model of synthetic voices that has no dev part: train so many times more, each time without "
        "some systems and speakers, whose scores calibrate the model; 0 is off.",
    )


class AugmentSection(Section):
    """Random changes to training crops, on the waveform first and on the log-mel after it."""

    mixup_alpha: float = Field(
        1.0, ge=0, description="Beta(a, a) of mixing two crops and their labels; 0 switches it off."
    )
    mixup_by: Literal["amplitude", "level"] = Field(
        "level",
        description="What the weight of a crop in a mix weighs: its samples as they are, or after both crops "
        "were brought to the same loudness (`level`), so that labels follow what is audible.",
    )
    shift: bool = Field(True, description="Roll the crop by a random time.")
    speed: tuple[float, float] = Field(
        (1.0, 1.0), description="Range of playback speed (changes pitch too); [1, 1] is off."
    )
    time_mask_ms: float = Field(200.0, ge=0, description="Longest time mask in milliseconds.")
    freq_mask_mels: int = Field(8, ge=0, description="Widest frequency mask in mel bands.")
    masks: int = Field(1, ge=0, le=16, description="Masks of each kind a crop.")
    equaliser_db: float = Field(
        0.0,
        ge=0,
        le=40,
        description="A random smooth frequency response of up to plus or minus this many dB; 0 is off.",
    )
    gain_db: float = Field(20.0, ge=0, le=60, description="Gain is drawn from plus or minus this many dB.")
    noise_snr_db: tuple[float, float] | None = Field(
        (10.0, 40.0), description="Range of signal-to-noise ratio of added coloured noise in dB; null is off."
    )
    noise_share: Fraction = Field(0.25, description="Share of crops that get noise.")
    filter_share: Fraction = Field(
        0.0, description="Share of crops that pass a channel with random stop bands and some distortion (`rawnet`)."
    )
    impulse_share: Fraction = Field(
        0.0, description="Share of crops in which random samples become clicks that follow the signal (`rawnet`)."
    )
    copies: int = Field(
        0, ge=0, le=16, description="Changed copies of each recording that are made before training (`rawnet`)."
    )
    room_share: Fraction = Field(0.0, description="Share of these copies that stand in a room.")
    codec_share: Fraction = Field(0.5, description="Share of these copies that pass one of the codecs.")
    codecs: tuple[Literal["mulaw", "alaw", "gsm", "vorbis", "opus", "mp3"], ...] = Field(
        (), description="Codecs to draw from; those of the telephone (`mulaw`, `alaw`, `gsm`) work at 8 kHz."
    )


class TeacherSection(Section):
    """Soft labels."""

    labels: str | None = Field(
        None,
        description="Soft labels: the folder that `auricle teach` wrote, or a CSV: `filename`, one column a class.",
    )
    soft_weight: Fraction = Field(0.9, description="Weight of the soft labels where a clip has both kinds.")
    temperature: Positive = Field(1.0, description="Softens one-of-n targets and scores before they are compared.")
    head: Literal["auto", "none"] = Field(
        "auto",
        description="Where the teacher's label set differs: fit a head on its embeddings of the training clips.",
    )
    clip_share: float = Field(
        0.15, ge=0, lt=1, description="Share of the crops that are labelled clips, where there are mixtures or a pool."
    )
    pool: str | None = Field(None, description="Where the pool lies, if not where the teacher labelled it.")
    pool_weight: Fraction = Field(0.3, description="Weight of the classes on sound that is of the pool alone.")
    classes_weight: float = Field(
        0.1, ge=0, description="Weight of matching all of the teacher's classes, by a layer that is dropped at export."
    )
    embedding_weight: float = Field(
        5.0, ge=0, description="Weight of matching the teacher's embedding, by a layer that is dropped at export."
    )
    window_weight: float = Field(
        1.0, ge=0, description="Weight of matching frame scores to window labels, where several windows fill a crop."
    )


class InitSection(Section):
    """What training begins with."""

    model: str = Field(
        "none",
        min_length=1,
        description="Weights to begin with: a model folder, a built-in model by name, or for `mobilecrnn` and "
        "`efficientat` a published checkpoint (`.pt`); `none` begins at random. A model brings its network and front "
        "end. `train` and `crossval` begin at `general` where neither this nor a network is named.",
    )
    new_head: bool = Field(
        False, description="Leave out the last layer of `init.model`, which knows other classes: it begins at random."
    )
    keep: Fraction = Field(
        0.0,
        description="Share of the weights to begin with in the final ones, the rest is what training made of them: the "
        "mean of the two often does better on other recordings than either.",
    )

    @property
    def given(self) -> bool:
        """Whether training begins with weights of another model."""
        return self.model != "none"


class ScenesSection(Section):
    """Scenes of the training clips: their sounds at known times over backgrounds, where no label says when."""

    share: float = Field(
        0.0,
        ge=0,
        le=0.9,
        description="Share of the crops that are scenes, made anew in every epoch of clips with one class or none; "
        "events are then fitted on scenes of dev clips. Only where no label says when; 0 makes none.",
    )
    snr_db: tuple[float, float] = Field((0.0, 20.0), description="Range of the level of a sound over the background.")
    events_a_second: float = Field(0.6, gt=0, le=10, description="Most sounds in a second of a scene.")
    fade_s: tuple[float, float] = Field(
        (0.005, 0.3), description="Range of the time in which a sound rises and falls, in seconds."
    )


class LossSection(Section):
    """What training minimises, beside what a teacher adds."""

    frame_weight: float = Field(
        1.0, ge=0, description="Weight of the targets of single frames, for clips whose labels say when."
    )
    instance_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of matching pooled frame scores to the labels of clips (multiple-instance learning): for "
        "networks whose clip scores are not made of frame scores, such as `mobilenet`.",
    )


class OptimSection(Section):
    """Optimiser and schedule."""

    name: Literal["adamw"] = Field("adamw", description="Optimiser.")
    lr: float = Field(0.0015, gt=0, le=1, description="Peak learning rate.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay (not on norms and biases).")
    epochs: int = Field(60, ge=1, le=100_000, description="Passes over the training part.")
    steps: int | None = Field(None, ge=1, description="Steps in all, in place of epochs; null lets epochs decide.")
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


class RunSection(Section):
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
    keep_checkpoints: int = Field(
        2, ge=1, le=1_000, description="Last checkpoints that stay; each holds the best weights."
    )
    worker_timeout_s: float = Field(
        300.0, gt=0, description="Seconds that loader processes may take for a batch before its files are blamed."
    )
    early_stop: int | None = Field(
        20, ge=1, description="Stop after this many epochs without a dev score as good as the best; null is off."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; all cores if null.")
    track: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = Field(
        [],
        description="Tools that keep the figures of each epoch, beside TensorBoard's files, which are written always.",
    )


class ExportSection(Section):
    """What a smaller form of the model may cost; `auricle export --int8` refuses beyond it."""

    int8_loss: Fraction = Field(
        0.005, description="Most that the model's figure (accuracy, or mAP) may lose in 8 bits; 0.005 is half a point."
    )
    int8_shift: Fraction = Field(
        0.1, description="Most that a score of the stored test input, or of noise, may move in 8 bits."
    )


class Recipe(Section):
    """Everything that decides a training run, beside the data."""

    task: Literal["auto", "single", "multi"] = Field(
        "auto", description="One label a clip, or any number; `auto` looks at the labels."
    )
    model: SerializeAsAny[NetworkOptions] = Field(default_factory=lambda: read_options({}))
    frontend: FrontendSection = FrontendSection()
    data: DataSection = DataSection()
    augment: AugmentSection = AugmentSection()
    init: InitSection = InitSection()
    teacher: TeacherSection = TeacherSection()
    scenes: ScenesSection = ScenesSection()
    loss: LossSection = LossSection()
    optim: OptimSection = OptimSection()
    run: RunSection = RunSection()
    export: ExportSection = ExportSection()
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random.")

    @field_validator("model", mode="before")
    @classmethod
    def _of_the_named_network(cls, value: Any) -> Any:
        """Read the section with the options of the network that it names."""
        return read_options(value) if isinstance(value, Mapping) else value

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
        problems += _data_problems(d)
        if a.freq_mask_mels > f.n_mels:
            problems.append(f"augment.freq_mask_mels {a.freq_mask_mels} is above frontend.n_mels {f.n_mels}")
        for name, pair, least in (
            ("augment.speed", a.speed, 0.25),
            ("augment.noise_snr_db", a.noise_snr_db, -math.inf),
            ("scenes.snr_db", self.scenes.snr_db, -math.inf),
            ("scenes.fade_s", self.scenes.fade_s, 1e-4),
        ):
            if pair is not None and not least <= pair[0] <= pair[1]:
                problems.append(f"{name} {list(pair)} is not a range from low to high")
        if self.init.new_head and not self.init.given:
            problems.append(
                "init.new_head is for init.model, which is none; give the model to begin with (--init MODEL)"
            )
        if self.init.keep and not self.init.given:
            problems.append("init.keep is for init.model, which is none; give the model to begin with (--init MODEL)")
        problems += unused_keys(self)
        problems += self.model.problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _data_problems(data: DataSection) -> list[str]:
    """Return what does not go together in how recordings are cut and split."""
    problems = []
    if data.hop_s is not None and data.hop_s > data.clip_s:
        problems.append(
            f"data.hop_s {data.hop_s:g} is above data.clip_s {data.clip_s:g}: parts of a recording would be skipped"
        )
    if data.dev_systems and data.dev != "inside":
        problems.append(f"data.dev_systems needs data.dev inside; it is {data.dev}")
    if data.calibration_folds == 1:
        problems.append("data.calibration_folds is 1: what one fold leaves out needs another to train on; give 0 or 2")
    return problems


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error, and ``1e-3`` is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys, which plain YAML lets the last one win."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise ConfigError(
                    "the recipe cannot be read", [f"line {key_node.start_mark.line + 1}: a key that is no plain text"]
                )
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
    except ConfigError:
        raise
    except _NO_VALUE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        text = f"a value that YAML cannot make ({reason}): put quotes around what is text"
        raise ConfigError(f"{where} cannot be read", [text]) from error


def _known_keys(path: tuple[str | int, ...], network: type[NetworkOptions]) -> list[str]:
    """Return the legal keys at ``path`` inside a recipe for a network."""
    model: type[BaseModel] = Recipe
    if path[:1] == ("model",):
        model, path = network, path[1:]
    for part in path:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _explain(error: ValidationError, network: type[NetworkOptions]) -> list[str]:
    """Turn pydantic's report into lines that name the key as the user typed it."""
    lines = []
    for item in error.errors():
        path = item["loc"]
        name = ".".join(map(str, path))
        if item["type"] == "extra_forbidden":
            known = _known_keys(tuple(path[:-1]), network)
            whose = f" of network {network.model_fields['name'].default}" if path[0] == "model" else ""
            lines.append(f"unknown key {name}{whose}{nearest(str(path[-1]), known)}; known here: {', '.join(known)}")
        elif not path:
            lines.extend(str(item["msg"]).removeprefix("Value error, ").splitlines())
        else:
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{name} = {item['input']!r}: {message[0].lower()}{message[1:]}")
    return lines


def make_recipe(values: Mapping[str, Any] | None, where: str = "the recipe") -> Recipe:
    """Check ``values`` over the defaults of the network that they name, and return the recipe.

    Raises:
        ConfigError: with every problem.
        UsageError: there is no such network.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is not a table of settings", [f"found {type(values).__name__}"])
    network = options_class(values.get("model"))
    try:
        return Recipe.model_validate(join_values(_defaults(network, values), values))
    except ValidationError as error:
        raise ConfigError(f"{where} has settings that cannot be used", _explain(error, network)) from error


def _defaults(network: type[NetworkOptions], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the network's own defaults; where training begins with weights, those of fine-tuning over them."""
    init = values.get("init")
    begun = isinstance(init, Mapping) and init.get("model", "none") != "none"
    return join_values(network.defaults, network.fine_tuning) if begun else network.defaults


def _assign(values: dict[str, Any], assignment: str) -> None:
    """Apply one ``a.b=c`` to a nested dictionary."""
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            "an override cannot be read", [f"{assignment!r}: expected name=value, such as optim.epochs=20"]
        )
    _set_path(values, key.strip(), parse_yaml(text, f"the value of {key.strip()}"), assignment)


def _set_path(values: dict[str, Any], key: str, value: Any, shown: str) -> None:
    """Set ``a.b`` in a nested dictionary; ``shown`` is what the user wrote."""
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError("an override cannot be read", [f"{shown!r}: {parent} is a value, not a section"])
        values = inner
    values[last] = value


def join_values(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables as a new one; where both have a value, that of ``over`` counts."""
    joined = {key: join_values(value, {}) if isinstance(value, Mapping) else value for key, value in under.items()}
    for key, value in over.items():
        below = joined.get(key)
        if isinstance(value, Mapping):
            joined[key] = join_values(below if isinstance(below, Mapping) else {}, value)
        else:
            joined[key] = value
    return joined


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return the settings in a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} cannot be read", [str(error)]) from error
    parsed = parse_yaml(text, f"the recipe {path}")
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise ConfigError(f"the recipe {path} is not a table of settings", [f"found {type(parsed).__name__}"])
    return parsed


def load_recipe(
    path: str | Path | None = None, overrides: Iterable[str] = (), base: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe file, apply ``a.b=c`` overrides, and check the whole.

    Args:
        path: a YAML file; None starts from the defaults.
        overrides: assignments in the order they were typed; the last one wins.
        base: values under the file's own, for callers that have defaults.
    """
    return make_recipe(read_values(path, overrides, base), "the recipe" if path is None else f"the recipe {path}")


def read_values(
    path: str | Path | None = None,
    overrides: Iterable[str] = (),
    base: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read what ``load_recipe`` checks, as nested dictionaries; ``settings`` by key (``a.b``) go over all others."""
    values = join_values({}, {} if base is None else base)
    values = join_values(values, {} if path is None else _read_yaml(Path(path)))
    for assignment in overrides:
        _assign(values, assignment)
    for key, value in ({} if settings is None else settings).items():
        _set_path(values, key, value, f"{key}={value}")
    return values


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some keys (``a.b``) changed; raises ``ConfigError`` where they do not go together."""
    nested = recipe.model_dump()
    for key, value in values.items():
        _set_path(nested, key, value, f"{key}={value}")
    return make_recipe(nested)


def stored_recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe that an earlier version stored as this one would: keys that it did not have take their defaults.

    One that cannot be read any more comes back as it is.
    """
    try:
        return make_recipe(values).model_dump(mode="json")
    except UsageError:
        return dict(values)


def dump_recipe(recipe: Recipe) -> str:
    """Return the whole recipe as YAML; reading it back gives an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
