# SPDX-License-Identifier: Apache-2.0
"""``auricle.json``: everything a model folder says about its model, typed and read strictly.

Unknown keys, wrong types and impossible combinations are refused. Nothing in it is executed, expanded or
used as a path beyond plain file names in the same folder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from auricle import __version__
from auricle.errors import BundleError
from auricle.files import sha256_bytes
from auricle.results import SPOOF_LABELS
from auricle.timeline import FrameGrid, seconds_to_samples

SCHEMA_VERSION = 1
#: The model files by precision.
ONNX_FILES = {"float32": "model.onnx", "int8": "model.int8.onnx"}
#: The same networks with their memory as input and output, for causal models.
STREAM_FILES = {"float32": "stream.onnx", "int8": "stream.int8.onnx"}

_MAX_JSON_BYTES = 16_000_000
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: The hash of the file itself, taken with zeros in its own place. It stands last.
_SEAL = re.compile(rb'"own_sha256": "([0-9a-f]{64})"\s*\}\s*$')


def _whole(value: Any) -> Any:
    """Return a whole number as such, however JSON writes it: ``16000.0`` is 16000."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Share = Annotated[float, Field(ge=0, le=1)]
AggregateRule = Literal["mean", "max", "mean_logit"]
Labels = Annotated[tuple[str, ...], Field(min_length=1, max_length=100_000, strict=False)]


class _Part(BaseModel):
    """Base of all parts: frozen, no unknown keys, no silent conversion, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class ModelPart(_Part):
    """The network, as training built it."""

    name: str
    head: str | None = None
    causal: bool = False
    time_stride: int = 4
    residuals: Annotated[tuple[int, ...], Field(strict=False)] | None = None
    width: float = 1.0
    hidden: int | None = None
    dropout: float = 0.0
    texture: bool = False
    raw: dict[str, JsonValue] | None = None


class FrontendPart(_Part):
    """The front end, which lives inside the graph; stated for training and for people."""

    name: str
    sample_rate: Whole
    n_mels: int
    window_ms: float
    hop_ms: float
    f_min: float
    f_max: float | None = None


class FramesPart(_Part):
    """How the frames of one window lie over its samples, see ``timeline.FrameGrid``."""

    hop_samples: Whole = Field(ge=1)
    first_centre_samples: float
    receptive_samples: Whole = Field(ge=1)


class BoxesPart(_Part):
    """Events as boxes between change points instead of runs above thresholds, see ``events.boxes``.

    Attributes:
        filter_s: length of the step filter in seconds, half of it before and half after a boundary.
        merge_abs: a gap is filled whose mean score is at most this much below the higher neighbour.
        merge_rel: or whose mean score is at least this share of it.
        max_gap_s: longest gap that is filled.
        max_event_s: longest box; a longer event is cut. It bounds how long a stream waits.
    """

    filter_s: float = Field(default=0.4, gt=0, le=60)
    merge_abs: Share = 0.1
    merge_rel: Share = 0.8
    max_gap_s: float = Field(default=1.0, ge=0, le=60)
    max_event_s: float = Field(default=30.0, gt=0, le=3600)


class PostprocessPart(_Part):
    """From frame scores to events. What is given by label goes before what is given for all.

    Attributes:
        median_s: length of the median filter in seconds.
        medians_s: the same for some labels.
        off_ratio: an event ends where its score falls below this share of the threshold at which it began.
        off_ratios: the same for some labels.
        min_event_s: shortest event.
        max_gap_s: longest gap that is filled.
        boxes: events between change points; ``off_ratio`` and ``max_gap_s`` mean nothing then.
    """

    median_s: float = Field(default=0.0, ge=0, le=60)
    medians_s: dict[str, Annotated[float, Field(ge=0, le=60)]] = Field(default_factory=dict)
    off_ratio: float = Field(default=1.0, gt=0, le=1)
    off_ratios: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    min_event_s: float = Field(default=0.0, ge=0, le=3600)
    max_gap_s: float = Field(default=0.0, ge=0, le=3600)
    boxes: BoxesPart | None = None

    def median_of(self, label: str) -> float:
        """Return the length of a label's median filter in seconds."""
        return self.medians_s.get(label, self.median_s)

    def off_ratio_of(self, label: str) -> float:
        """Return a label's share of its threshold below which an event ends."""
        return self.off_ratios.get(label, self.off_ratio)


class CalibrationPart(_Part):
    """How clip scores become probabilities, see ``runtime.calibration``.

    ``temperature`` divides log-odds by one number; ``logistic`` maps the log-odds ``z`` of each label to
    ``scale * z + bias``. The log losses are those of held-out recordings without and with it, by cross-fitting.
    """

    method: Literal["temperature", "logistic"]
    temperature: float | None = Field(default=None, gt=0)
    scale: Annotated[tuple[float, ...], Field(strict=False)] | None = None
    bias: Annotated[tuple[float, ...], Field(strict=False)] | None = None
    log_loss_before: float | None = None
    log_loss_after: float | None = None

    @model_validator(mode="after")
    def _complete(self) -> CalibrationPart:
        if (self.temperature is None) == (self.method == "temperature"):
            raise ValueError("calibration: `temperature` stands with method temperature, and only there")
        if (self.scale is None or self.bias is None) == (self.method == "logistic"):
            raise ValueError("calibration: `scale` and `bias` stand with method logistic, and only there")
        return self


class Int8Part(_Part):
    """What ``model.int8.onnx`` is, and what it cost.

    ``arithmetic`` is ``float`` where only the weights have 8 bits. ``shift`` is the largest change of a score of the
    stored input, ``shift_limit`` what was allowed. The figures are those of the data that it was checked on.
    """

    arithmetic: Literal["float", "int8"]
    shift: float = Field(ge=0)
    shift_limit: float = Field(ge=0, le=1)
    metric: str = ""
    float32: float | None = None
    int8: float | None = None
    clips: int = Field(default=0, ge=0)
    data_hash: str = ""


class LlrPart(_Part):
    """How scores of a model of synthetic voices become log-likelihood ratios, see ``runtime.llr``.

    ``scale * (log score of bonafide - log score of spoof) + offset``. ``prior_spoof`` is the share of spoofed
    recordings that probabilities take for granted unless a user states another.
    """

    method: Literal["llr"]
    scale: float = Field(gt=0)
    offset: float
    prior_spoof: float = Field(default=0.5, gt=0, lt=1)


class DomainPart(_Part):
    """What the training recordings were like, so that others can be flagged, see ``runtime.ood``.

    Attributes:
        shortest_s: length of the shortest training recording in seconds.
        features: names of what is measured in each window.
        mean: of each feature over the training windows.
        whitening: rows of a matrix after which the centred features have unit variance and no correlation.
        limit: distance from the mean beyond which a window is unlike the training windows.
    """

    shortest_s: float = Field(gt=0)
    features: Annotated[tuple[str, ...], Field(min_length=1, max_length=100, strict=False)]
    mean: Annotated[tuple[float, ...], Field(strict=False)]
    whitening: Annotated[tuple[Annotated[tuple[float, ...], Field(strict=False)], ...], Field(strict=False)]
    limit: float = Field(gt=0)

    @model_validator(mode="after")
    def _square(self) -> DomainPart:
        n = len(self.features)
        if len(self.mean) != n or len(self.whitening) != n or any(len(row) != n for row in self.whitening):
            raise ValueError(f"domain: {n} features need as many means and a square matrix of that size")
        return self


class NeighboursPart(_Part):
    """Which recordings are unlike those that the model was made of, see ``runtime.neighbours``.

    Attributes:
        k: the neighbour whose distance counts.
        limit: distance beyond which a recording is unlike them.
        beyond: share of recordings like them that may lie beyond it.
        recordings: that the limit was set on.
    """

    k: int = Field(ge=1, le=1000)
    limit: float = Field(ge=0, le=2)
    beyond: Share
    recordings: int = Field(ge=1)


class AbstentionPart(_Part):
    """From which clip score on something is named at a stated error rate, see ``runtime.abstention``.

    Attributes:
        rates: largest shares of mistakes among what is named, rising.
        thresholds: the score for each rate.
        coverage: share of the held-out clips that reach it.
        clips: held-out clips behind these figures.
        others: sounds of none of the classes behind them.
    """

    rates: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100, strict=False)]
    thresholds: Annotated[tuple[Share, ...], Field(strict=False)]
    coverage: Annotated[tuple[Share, ...], Field(strict=False)]
    clips: int = Field(ge=1)
    others: int = Field(ge=1)

    @model_validator(mode="after")
    def _complete(self) -> AbstentionPart:
        if not len(self.rates) == len(self.thresholds) == len(self.coverage):
            raise ValueError("abstention: rates, thresholds and coverage have one value a rate")
        if sorted(self.rates) != list(self.rates):
            raise ValueError("abstention: rates rise")
        return self


class ProvenancePart(_Part):
    """Where the model comes from.

    ``systems`` and ``speakers`` are those of all recordings that shaped it, of models that tell bona fide from spoofed
    speech: figures for others are figures for what it was not trained on. ``teacher`` gave its soft labels.
    ``initial_weights`` is the SHA-256 of the weights that training began with.
    """

    data_hash: str = ""
    data_form: str = ""
    data_name: str = ""
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    seeds: Annotated[tuple[int, ...], Field(strict=False)] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    created: str = ""
    parameters: int = Field(default=0, ge=0)
    license: str = ""
    attribution: str = ""
    systems: Annotated[tuple[str, ...], Field(strict=False)] = ()
    speakers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    teacher: str = ""
    initial_weights: str | None = None


class BundleSpec(_Part):
    """The content of ``auricle.json``."""

    schema_version: int = SCHEMA_VERSION
    name: str = Field(min_length=1, max_length=200)
    task: Literal["single", "multi"]
    labels: Labels
    label_ids: dict[str, str] = Field(default_factory=dict)
    negatives: bool = False
    model: ModelPart
    frontend: FrontendPart | None = None
    sample_rate: Whole = Field(ge=1_000, le=768_000)
    window_s: float = Field(gt=0, le=3600)
    hop_s: float = Field(ge=0.01, le=3600)
    margin_s: float = Field(default=0.0, ge=0, le=600)
    lookahead_s: float | None = Field(default=None, ge=0, le=600)
    pad: Literal["zero", "repeat"] = "zero"
    aggregate: AggregateRule = "mean"
    min_samples: Whole = Field(default=1, ge=1)
    fixed_length: bool = False
    frames: FramesPart | None = None
    postprocess: PostprocessPart = PostprocessPart()
    thresholds: dict[str, Share]
    int8: Int8Part | None = None
    calibration: Annotated[CalibrationPart | LlrPart, Field(discriminator="method")] | None = None
    domain: DomainPart | None = None
    neighbours: NeighboursPart | None = None
    abstention: AbstentionPart | None = None
    provenance: ProvenancePart = ProvenancePart()
    sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def is_spoof(self) -> bool:
        """Whether the model tells bona fide from spoofed speech and nothing else, and so gives likelihood ratios."""
        return self.task == "single" and not self.negatives and tuple(sorted(self.labels)) == SPOOF_LABELS

    @property
    def window_samples(self) -> int:
        """Samples of a scoring window."""
        return seconds_to_samples(self.window_s, self.sample_rate)

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of two scoring windows."""
        return seconds_to_samples(self.hop_s, self.sample_rate)

    @property
    def margin_samples(self) -> int:
        """Samples that a window sees of each neighbour; 0 for windows that overlap."""
        return seconds_to_samples(self.margin_s, self.sample_rate)

    @property
    def lookahead_samples(self) -> int:
        """Samples that a window sees of the one behind it: its margin unless ``runtime.latency`` chose fewer."""
        return seconds_to_samples(self.margin_s if self.lookahead_s is None else self.lookahead_s, self.sample_rate)

    @property
    def wait_s(self) -> float:
        """Longest time from a sound until the last window that holds it is complete."""
        if not self.margin_s:
            return self.window_s
        return self.hop_s + (self.margin_s if self.lookahead_s is None else self.lookahead_s)

    @property
    def slack_samples(self) -> int:
        """Longest remainder behind the last window that is too short for a frame, and brings no window."""
        return (self.min_samples - 1) // 2

    @property
    def grid(self) -> FrameGrid:
        """Where frame scores lie; without them, one cell of ``hop_s`` that window scores are spread over."""
        if self.frames is None:
            return FrameGrid(self.hop_samples, self.window_samples, self.hop_samples / 2)
        return FrameGrid(
            self.frames.hop_samples, self.frames.receptive_samples, float(self.frames.first_centre_samples)
        )

    @property
    def event_rule(self) -> dict[str, Any] | None:
        """How a page makes events from scores (``webpage/events.js``); None for boxes between change points."""
        if self.postprocess.boxes is not None:
            return None
        return {
            "rate": self.sample_rate,
            "hop_samples": self.grid.hop_samples,
            "first_centre_samples": self.grid.first_centre_samples,
            "postprocess": self.postprocess.model_dump(mode="json", exclude={"boxes"}),
        }

    @model_validator(mode="after")
    def _possible(self) -> BundleSpec:
        """Check what single fields cannot; all problems are collected before any is raised."""
        problems = [*self._label_problems(), *self._time_problems()]
        problems += [f"{name!r} is not a plain file name" for name in self.sha256 if not is_file_name(name)]
        problems += [
            f"the hash of {name!r} is no SHA-256" for name, h in self.sha256.items() if not _SHA256.fullmatch(h)
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _label_problems(self) -> list[str]:
        if not self.name.strip() or not self.name.isprintable():
            return ["name is empty or holds control characters"]
        twice = [label for label, count in Counter(self.labels).items() if count > 1]
        problems = [f"label {label!r} stands twice" for label in twice]
        if any(not label.strip() or not label.isprintable() for label in self.labels):
            problems.append("a label is empty or holds control characters")
        if set(self.thresholds) != set(self.labels):
            odd = sorted(set(self.thresholds) ^ set(self.labels))
            problems.append(f"thresholds and labels differ in {', '.join(map(repr, odd[:5]))}")
        unknown = sorted(set(self.label_ids) - set(self.labels))
        problems += [f"label_ids names {label!r}, which is no label" for label in unknown[:5]]
        for name in ("medians_s", "off_ratios"):
            unknown = sorted(set(getattr(self.postprocess, name)) - set(self.labels))
            problems += [f"postprocess.{name} names {label!r}, which is no label" for label in unknown[:5]]
        parts = self.calibration
        if parts is not None and self.is_spoof != isinstance(parts, LlrPart):
            problems.append("calibration by method llr goes with the labels bonafide and spoof in task single")
        if isinstance(parts, CalibrationPart) and parts.scale is not None and parts.bias is not None:
            if not len(parts.scale) == len(parts.bias) == len(self.labels):
                problems.append(f"calibration needs {len(self.labels)} values of scale and bias, one a label")
            if self.task == "single":
                problems.append("calibration by method logistic needs task multi")
        return problems

    def _time_problems(self) -> list[str]:
        problems = []
        if self.window_samples < self.min_samples:
            problems.append(f"window_s {self.window_s:g} is shorter than min_samples {self.min_samples}")
        if self.hop_samples > self.window_samples:
            problems.append(f"hop_s {self.hop_s:g} is above window_s {self.window_s:g}: sound would be skipped")
        if self.hop_samples <= self.slack_samples:
            problems.append(f"hop_s {self.hop_s:g} is not longer than half of min_samples {self.min_samples}")
        if self.margin_s:
            problems += self._margin_problems()
        if self.frames is not None and self.frames.hop_samples > self.window_samples:
            problems.append(f"frames.hop_samples {self.frames.hop_samples} is longer than a window")
        if self.frontend is not None and self.frontend.sample_rate != self.sample_rate:
            problems.append(
                f"sample_rate {self.sample_rate} differs from frontend.sample_rate {self.frontend.sample_rate}"
            )
        return problems

    def _margin_problems(self) -> list[str]:
        """Return why windows cannot stand side by side with margins."""
        problems = []
        step = 1 if self.frames is None else self.frames.hop_samples
        if self.lookahead_s is not None:
            if self.window_samples != self.hop_samples + self.margin_samples + self.lookahead_samples:
                problems.append(
                    f"window_s {self.window_s:g} is not hop_s {self.hop_s:g} with margin_s {self.margin_s:g} before "
                    f"and lookahead_s {self.lookahead_s:g} behind it"
                )
        elif self.window_samples != self.hop_samples + 2 * self.margin_samples:
            problems.append(
                f"window_s {self.window_s:g} is not hop_s {self.hop_s:g} with margin_s {self.margin_s:g} on both sides"
            )
        elif self.margin_samples > self.hop_samples:
            problems.append(f"margin_s {self.margin_s:g} is longer than hop_s {self.hop_s:g}")
        if self.hop_samples % step or self.margin_samples % step:
            problems.append(f"hop_s {self.hop_s:g} and margin_s {self.margin_s:g} are no whole numbers of frames")
        if self.fixed_length:
            problems.append("margin_s needs a network that takes any length")
        return problems


def is_file_name(name: str) -> bool:
    """Tell whether ``name`` is a plain file name: no folder, no hidden file, no trick."""
    return _FILE_NAME.fullmatch(name) is not None


def parse_spec(data: bytes, where: str) -> BundleSpec:
    """Read ``auricle.json``; ``where`` names the model in errors.

    Raises:
        BundleError: not JSON, of a version that this auricle does not read, or impossible.
    """
    if len(data) > _MAX_JSON_BYTES:
        raise BundleError(f"{where}: auricle.json has {len(data)} bytes, at most {_MAX_JSON_BYTES} are read")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: auricle.json is not valid JSON ({error}); get the model folder again") from error
    _check_version(values, where)
    if "own_sha256" in values:
        _check_seal(data, where)
        del values["own_sha256"]
        data = json.dumps(values).encode()
    try:
        return BundleSpec.model_validate_json(data)
    except ValidationError as error:
        raise BundleError(f"{where}: auricle.json cannot be used: {'; '.join(_explain(error))}") from error


def seal_spec(spec: BundleSpec) -> bytes:
    """Return the content of ``auricle.json``, which tells by ``own_sha256`` whether it was damaged."""
    values = {**spec.model_dump(mode="json"), "own_sha256": "0" * 64}
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    data = (text + "\n").encode("utf-8", "surrogateescape")
    start, end = _seal_place(data)
    return data[:start] + sha256_bytes(data).encode() + data[end:]


def _seal_place(data: bytes) -> tuple[int, int]:
    """Return where the digits of ``own_sha256`` stand; ``(0, 0)`` if they are damaged."""
    match = _SEAL.search(data)
    return (0, 0) if match is None else match.span(1)


def _check_seal(data: bytes, where: str) -> None:
    """Refuse a specification that is not as it was written."""
    start, end = _seal_place(data)
    if sha256_bytes(data[:start] + b"0" * 64 + data[end:]) != data[start:end].decode():
        raise BundleError(
            f"{where}: auricle.json is damaged or was changed: its {len(data)} bytes do not have the SHA-256 that it "
            "states (own_sha256); get the model folder again, or drop that line if you changed the file yourself"
        )


def _check_version(values: Any, where: str) -> None:
    """Refuse what is no bundle, and bundles of a later schema."""
    version = values.get("schema_version") if isinstance(values, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(f"{where}: auricle.json states no schema_version; it was not made by auricle")
    if version > SCHEMA_VERSION:
        provenance = values.get("provenance")
        versions = provenance.get("versions") if isinstance(provenance, dict) else None
        maker = versions.get("auricle", "a later version") if isinstance(versions, dict) else "a later version"
        raise BundleError(
            f"{where} was made by auricle {maker} (schema {version}), this is auricle {__version__} "
            f"(schema {SCHEMA_VERSION}): upgrade with `pip install -U auricle`"
        )


def _explain(error: ValidationError) -> list[str]:
    """Return one text a problem, naming the key."""
    texts = []
    for item in error.errors(include_url=False):
        message = item["msg"].removeprefix("Value error, ")
        key = ".".join(map(str, item["loc"]))
        texts.append(f"{key}: {message[0].lower()}{message[1:]}" if key else message)
    return texts
