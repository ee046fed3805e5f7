# SPDX-License-Identifier: Apache-2.0
"""What can be asked about a model that there is: evaluate, export, report. See ``recipe.requests``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Literal

from auricle.recipe.options import Argument, Option
from auricle.recipe.requests import ClipOptions, FailureOptions, PathLike


@dataclass(frozen=True)
class EvaluateRequest(ClipOptions):
    """``auricle evaluate``: a model is scored on labelled recordings."""

    data: Annotated[
        PathLike | None, Argument("Labelled recordings, as for train; not with --false-alarms.", "[DATA]")
    ] = None
    _: KW_ONLY
    model: Annotated[str | None, Option("A folder or the name of a built-in model.", short="-m", metavar="MODEL")] = (
        None
    )
    precision: Annotated[Literal["float32", "int8"], Option("Which graph of the model to run.")] = "float32"
    scores: Annotated[
        PathLike | None,
        Option("Spoofing models: write the scores as ASVspoof 2019 does (5, if .tsv).", metavar="FILE"),
    ] = None
    from_scores: Annotated[
        PathLike | None, Option("Report on an ASVspoof score file instead of a model.", metavar="FILE")
    ] = None
    against: Annotated[
        PathLike | None, Option("Score file of another detector: report the differences too.", metavar="FILE")
    ] = None
    asv_scores: Annotated[
        PathLike | None, Option("Scores of a speaker verifier: report the t-DCF of 2019 too.", metavar="FILE")
    ] = None


@dataclass(frozen=True)
class FalseAlarmsRequest(FailureOptions):
    """``auricle evaluate --false-alarms``: events are counted where there are none."""

    quiet: Annotated[
        PathLike | Sequence[PathLike],
        Argument("Files, folders or globs that hold none of the model's classes.", "QUIET"),
    ]
    _: KW_ONLY
    model: Annotated[str, Option("A folder or the name of a built-in model.", short="-m", metavar="MODEL")]
    threshold: Annotated[
        float | Mapping[str, float] | None,
        Option("Where an event begins, for all classes or each; None is the model's.", python_only=True),
    ] = None
    precision: Annotated[Literal["float32", "int8"], Option("Which graph of the model to run.")] = "float32"
    at_most: Annotated[
        float | None,
        Option("Raise thresholds until each class has at most so many an hour, and store them.", metavar="N"),
    ] = None


@dataclass(frozen=True)
class TuneRequest(ClipOptions):
    """``auricle evaluate --tune``: how a model makes events of scores is fitted on the part dev of recordings."""

    data: Annotated[PathLike, Argument("Labelled recordings with a part dev; their classes are the model's.", "DATA")]
    _: KW_ONLY
    model: Annotated[str, Option("A folder; built-in models stay as they are.", short="-m", metavar="MODEL")]
    boxes: Annotated[bool, Option("Fit events between change points instead of thresholds.")] = False
    min_precision: Annotated[
        float | None,
        Option(
            "Take the lowest thresholds at which this share of the recordings that are named hold the class.",
            metavar="X",
        ),
    ] = None


@dataclass(frozen=True)
class Int8Request(ClipOptions):
    """``auricle export --int8``: a form of a model in 8 bits is written beside it."""

    model: Annotated[PathLike, Argument("The folder of the model.", "MODEL")]
    _: KW_ONLY
    data: Annotated[
        PathLike | None,
        Option(
            "Labelled recordings for --int8, best those of dev: to learn ranges from, and to measure the loss.",
            metavar="DATA",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """How a model comes into a site."""

    precision: Annotated[
        Literal["float32", "int8"] | None,
        Option("The form that --web takes.", shown="int8 with --int8, else float32"),
    ] = None
    tarball: Annotated[
        PathLike | None,
        Option(
            "The package onnxruntime-web for --web; without it, npm's registry is asked.", flag="--from", metavar="FILE"
        ),
    ] = None


@dataclass(frozen=True)
class SiteRequest(SiteOptions):
    """A static site in which a model runs inside the browser."""

    model: Annotated[PathLike, Argument("A folder, or the name of a built-in model.", "MODEL")]
    out: Annotated[PathLike, Argument("Folder of the site; must be new or empty.", "DIR")]


@dataclass(frozen=True)
class ExportRequest(SiteOptions, Int8Request):
    """``auricle export``: other forms of a model."""

    _: KW_ONLY
    int8: Annotated[bool, Option("Write model.int8.onnx beside model.onnx, for --precision int8.")] = False
    web: Annotated[
        PathLike | None,
        Option("Write a static site in which the model runs inside the browser.", metavar="DIR"),
    ] = None


@dataclass(frozen=True)
class PushRequest:
    """``auricle push``: a model goes to the Hugging Face hub."""

    model: Annotated[str, Argument("A folder or the name of a built-in model.", "MODEL")]
    repository: Annotated[str, Argument("Where it goes: org/name.", "REPOSITORY")]
    _: KW_ONLY
    space: Annotated[bool, Option("Push the site of `export --web` as a static Space instead of the model.")] = False
    public: Annotated[bool, Option("Everybody sees it; without this a repository is private.")] = False
    license: Annotated[
        str | None, Option("Licence of the model for its card, as the hub spells it: apache-2.0.", metavar="ID")
    ] = None
    message: Annotated[str, Option("Of the commit.", metavar="TEXT")] = "Push a model of auricle"
    dry_run: Annotated[bool, Option("Show what would go, and send nothing.")] = False
    tarball: Annotated[
        PathLike | None,
        Option("The package onnxruntime-web for --space; without it, npm's registry is asked.", flag="--from",
               metavar="FILE"),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class ReportRequest(ClipOptions):
    """``auricle report``: one page about one model."""

    model: Annotated[PathLike, Argument("A folder or the name of a built-in model.", "MODEL")]
    _: KW_ONLY
    data: Annotated[PathLike | None, Option("Labelled recordings that the model is measured on.", metavar="DATA")] = (
        None
    )
    against: Annotated[
        PathLike | None,
        Option("Another model of the same classes, measured beside it on the same clips of --data.", metavar="MODEL"),
    ] = None
    out: Annotated[
        PathLike | None,
        Option("Page to write.", short="-o", metavar="FILE", shown="report.html in MODEL"),
    ] = None


@dataclass(frozen=True)
class ImportRequest:
    """``auricle models import``: a model of others becomes a model folder."""

    source: Annotated[
        PathLike,
        Argument(
            "A checkpoint of EfficientAT (.pt), an ONNX tagger (.onnx, with its .json), or an AST of transformers: "
            "a folder, hf:org/name if it was downloaded before, or a name of `auricle models list` that was fetched.",
            "SOURCE",
        ),
    ]
    _: KW_ONLY
    out: Annotated[PathLike, Option("Folder of the model; must be new or empty.", short="-o", metavar="DIR")]
    labels: Annotated[
        PathLike | None,
        Option(
            "Of a checkpoint: AudioSet's table of its classes (columns index, mid, display_name).",
            metavar="FILE",
            shown="beside it",
        ),
    ] = None
    window_s: Annotated[
        float | None,
        Option(
            "Seconds that are scored at once.", flag="--window", metavar="S", least=0.05, shown="10, or the original's"
        ),
    ] = None
    hop_s: Annotated[
        float | None,
        Option("Seconds between two windows.", flag="--hop", metavar="S", least=0.01, shown="as --window"),
    ] = None
    license: Annotated[str, Option("Licence of the original, for the model card; none is assumed.", metavar="NAME")] = (
        ""
    )
