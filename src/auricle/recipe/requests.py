# SPDX-License-Identifier: Apache-2.0
"""What can be asked of auricle: a class for each command, a field for each option, written nowhere else.

The command line makes its options of these fields, ``auricle.train`` and its like their arguments, the documentation
its tables. An option with a ``key`` sets that key of the recipe, which keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from auricle.progress import Progress
from auricle.recipe.options import Argument, Option

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class DataSource:
    """A data set on disk: where it lies, and how it is read; see ``FormatOptions``. ``auto`` recognises its format."""

    path: Path
    format: str = "auto"
    sample_rate: int | None = None
    encoding: str | None = None
    label_column: str | None = None
    follow_links: bool = False

    def reading(self) -> dict[str, Any]:
        """Return how it is read, as ``read_manifest`` takes it."""
        names = ("sample_rate", "encoding", "label_column", "follow_links")
        return {"data_format": self.format, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class FormatOptions:
    """How a data set is read."""

    data_format: Annotated[
        str,
        Option("Read the data as this format (docs/formats.md) instead of finding it out.", metavar="NAME"),
    ] = "auto"
    sample_rate: Annotated[
        int | None,
        Option("Rate in Hz of .npy waveforms that do not say it themselves.", metavar="HZ", least=1, hertz=True),
    ] = None
    encoding: Annotated[
        str | None, Option("Encoding of tables and label files, if it is not UTF-8.", metavar="NAME")
    ] = None
    label_column: Annotated[
        str | None, Option("Column of tables and label files that names the classes.", metavar="NAME")
    ] = None
    follow_links: Annotated[bool, Option("Of class folders: also take what is linked from outside the folder.")] = False

    def source_at(self, path: PathLike) -> DataSource:
        """Return the data set at a path, read this way."""
        return DataSource(
            Path(path), self.data_format, self.sample_rate, self.encoding, self.label_column, self.follow_links
        )


@dataclass(frozen=True)
class DataOptions(FormatOptions):
    """A labelled data set."""

    data: Annotated[
        PathLike, Argument("Labelled recordings: class folders, a table, or another format (docs/formats.md).", "DATA")
    ]

    @property
    def source(self) -> DataSource:
        """The data set."""
        return self.source_at(self.data)


@dataclass(frozen=True, kw_only=True)
class FailureOptions:
    """What becomes of recordings that cannot be read."""

    on_failure: Annotated[
        Callable[[str, Any], object] | None,
        Option(
            "Called for each recording that cannot be read; the others are measured. None raises InputError.",
            python_only=True,
        ),
    ] = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class ClipOptions(FailureOptions, FormatOptions):
    """Which clips of a labelled data set are taken."""

    split: Annotated[
        str | None,
        Option(
            "Take only this split of the data, such as test, or all; default: what was not trained on.", metavar="NAME"
        ),
    ] = None
    fold: Annotated[str | None, Option("Take only fold K of the data.", metavar="K")] = None


@dataclass(frozen=True, kw_only=True)
class HeldOutOptions:
    """What is kept from training."""

    test_fold: Annotated[
        str | None,
        Option("Hold fold K out: nothing is trained or selected on it; train scores it once, at the end.", metavar="K"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Changes to a recipe: any key, and short options for some. Short options win."""

    overrides: Annotated[
        Iterable[str],
        Option("Change one choice, such as optim.lr=0.001; may be repeated.", flag="--set", metavar="KEY=VALUE"),
    ] = ()
    soft: Annotated[
        PathLike | None,
        Option(
            "Soft labels of a teacher for the same files: a CSV, or its folder (as teacher.labels).",
            metavar="PATH",
            key="teacher.labels",
        ),
    ] = None
    init: Annotated[
        str | None,
        Option(
            "Begin with this model's weights, or with a checkpoint of EfficientAT (.pt), or with none (as init.model).",
            metavar="MODEL",
            key="init.model",
        ),
    ] = None
    new_head: Annotated[
        bool,
        Option("With --init: other classes, so the last layer starts anew (as init.new_head).", key="init.new_head"),
    ] = False
    epochs: Annotated[
        int | None, Option("Passes over the data (as optim.epochs).", metavar="N", least=1, key="optim.epochs")
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, Option("Where to train (as run.device).", key="run.device")
    ] = None

    def __post_init__(self) -> None:
        """Keep overrides that come one by one: they are read more than once."""
        object.__setattr__(self, "overrides", tuple(self.overrides))


@dataclass(frozen=True, kw_only=True)
class RecipeFileOptions(RecipeOptions):
    """Which recipe is trained."""

    model: Annotated[
        str | None,
        Option(
            "Network to train from nothing, by name.",
            short="-m",
            metavar="NAME",
            shown="that of --init, which is general",
        ),
    ] = None
    recipe: Annotated[PathLike | None, Option("YAML file with the choices of the run.", metavar="FILE")] = None


@dataclass(frozen=True, kw_only=True)
class ListenerOptions:
    """What is called with the progress."""

    progress: Annotated[Progress | None, Option("Called with the progress; None for nothing.", python_only=True)] = (
        field(default=None, compare=False, repr=False)
    )


@dataclass(frozen=True, kw_only=True)
class ResumeOptions:
    """What happens to what a folder holds."""

    resume: Annotated[bool, Option("Resume the run in --out.")] = False
    overwrite: Annotated[bool, Option("Replace what --out holds.")] = False


@dataclass(frozen=True)
class TrainRequest(ListenerOptions, ResumeOptions, RecipeFileOptions, HeldOutOptions, DataOptions):
    """``auricle train``: recordings with labels become a model folder."""

    _: KW_ONLY
    out: Annotated[PathLike, Option("Folder that becomes the model; must be new or empty.", short="-o", metavar="DIR")]
    fork: Annotated[
        PathLike | None,
        Option("Resume the run in --out in a new folder, whatever has changed.", metavar="NEWDIR"),
    ] = None
    seed: Annotated[int | None, Option("Seed of everything random (recipe: 0).", metavar="N", least=0, key="seed")] = (
        None
    )
    exclude_systems: Annotated[
        Sequence[str] | None,
        Option(
            "Leave this spoofing system out of everything; may be repeated.",
            flag="--exclude-system",
            metavar="ID",
            key="data.exclude_systems",
        ),
    ] = None
    engine: Annotated[
        Literal["local", "ray"], Option("Work on this machine, or on a Ray cluster (docs/cluster.md).")
    ] = "local"
    workers: Annotated[
        int | None, Option("Processes that train together, with --engine ray.", metavar="N", least=1)
    ] = None


@dataclass(frozen=True)
class CrossvalRequest(ListenerOptions, RecipeFileOptions, DataOptions):
    """``auricle crossval``: a recipe is measured on all folds of a data set."""

    _: KW_ONLY
    seeds: Annotated[int, Option("Repeat everything with this many seeds: 0, 1, ...", metavar="N", least=1)] = 1
    out: Annotated[
        PathLike | None, Option("Keep the models (fold1/, ...) and results.json here.", short="-o", metavar="DIR")
    ] = None
    jobs: Annotated[int, Option("Folds trained at the same time.", short="-j", metavar="N", least=1)] = 1


@dataclass(frozen=True)
class _SweepFile:
    """The recipe of a sweep, which stands before its data."""

    recipe: Annotated[PathLike, Argument("Recipe whose section sweep says what is searched (docs/sweep.md).", "RECIPE")]


@dataclass(frozen=True)
class SweepRequest(ListenerOptions, RecipeOptions, HeldOutOptions, DataOptions, _SweepFile):
    """``auricle sweep``: a search over the choices of a recipe."""

    _: KW_ONLY
    out: Annotated[PathLike, Option("Folder of the sweep; must be new or empty.", short="-o", metavar="DIR")]
    trials: Annotated[int | None, Option("Trials in all (as sweep.trials).", metavar="N", least=1)] = None
    resume: Annotated[bool, Option("Resume the sweep in --out.")] = False


@dataclass(frozen=True)
class TeachRequest(ListenerOptions, ResumeOptions, FormatOptions):
    """``auricle teach``: a large model labels recordings, and mixtures of them, for a small one."""

    audio: Annotated[PathLike, Argument("Labelled recordings of any format, or with --unlabelled any audio.", "AUDIO")]
    _: KW_ONLY
    teacher: Annotated[
        str,
        Option(
            "hf:org/name or a folder of transformers, a .pt checkpoint of EfficientAT, an .onnx tagger with its "
            ".json, a teacher.safetensors of --stages --fit, or a model of auricle; several joined with commas are "
            "averaged.",
            short="-T",
            metavar="T",
        ),
    ]
    out: Annotated[PathLike, Option("Folder to write; must be new or empty.", short="-o", metavar="DIR")]
    mixtures: Annotated[
        int, Option("Make N new sounds of the recordings and the pool; label them too.", metavar="N", least=0)
    ] = 0
    mixture_s: Annotated[
        float | None,
        Option("Length of a mixture in seconds.", flag="--mixture-length", metavar="S", least=0.1, shown="about 5"),
    ] = None
    pool: Annotated[PathLike | None, Option("Unlabelled audio to go with it: a folder or a table.", metavar="PATH")] = (
        None
    )
    leave_out: Annotated[
        Iterable[str], Option("Rows of the pool's table that are not taken.", metavar="COLUMN=VALUE")
    ] = ()
    unlabelled: Annotated[bool, Option("Look for no labels: AUDIO is itself a pool.")] = False
    label_map: Annotated[
        PathLike | None,
        Option("Table label,teacher: which of the teacher's classes mean yours.", flag="--map", metavar="FILE"),
    ] = None
    fit: Annotated[bool, Option("Write labels of your classes, by a head fitted on the embeddings, for each fold.")] = (
        False
    )
    window_s: Annotated[
        float,
        Option("Length of a window; crops are whole numbers of it.", flag="--window", metavar="S", least=0.1),
    ] = 5.0
    hop_s: Annotated[
        float | None, Option("Step between windows.", flag="--hop", metavar="S", least=0.01, shown="--window")
    ] = None
    pad: Annotated[
        Literal["zero", "repeat"], Option("What fills the last window of a recording: silence, or the recording again.")
    ] = "zero"
    embeddings: Annotated[bool, Option("Keep the teacher's embeddings, for --fit and for matching.")] = True
    stages: Annotated[
        str | None,
        Option(
            "Take mean and deviation over time of the teacher's stages for its embedding: all, or numbers joined "
            "with commas. With --fit the head is kept as a teacher, teacher.safetensors.",
            metavar="all|N,...",
        ),
    ] = None
    seed: Annotated[int, Option("Seed of the mixtures.", metavar="N", least=0)] = 0
    bf16: Annotated[bool, Option("Compute in bf16: faster on some machines, and not the same bits.")] = False
    download: Annotated[bool, Option("Fetch hf:org/name if it is not here.")] = False
    engine: Annotated[
        Literal["local", "ray"], Option("Work on this machine, or on a Ray cluster (docs/cluster.md).")
    ] = "local"
    jobs: Annotated[int, Option("Teachers at the same time, with --engine ray.", short="-j", metavar="N", least=1)] = 1

    def __post_init__(self) -> None:
        """Keep what comes one by one: it is read more than once."""
        object.__setattr__(self, "leave_out", tuple(self.leave_out))

    @property
    def source(self) -> DataSource:
        """The recordings."""
        return self.source_at(self.audio)

    @property
    def folder(self) -> Path:
        """The folder of soft labels."""
        return Path(self.out)


@dataclass(frozen=True)
class EnrolRequest(FormatOptions):
    """``auricle enrol``: a few clips of some classes become a model in seconds, or change one."""

    clips: Annotated[
        PathLike | None,
        Argument("Labelled recordings, as for train: a folder of clips for each class, or a table.", "[CLIPS]"),
    ] = None
    _: KW_ONLY
    out: Annotated[PathLike, Option("Folder of the model; must be new or empty.", short="-o", metavar="DIR")]
    negatives: Annotated[
        Iterable[PathLike],
        Option("Folder of recordings of none of the classes; may be repeated.", metavar="FOLDER"),
    ] = ()
    add: Annotated[bool, Option("Add CLIPS to the enrolled model in --out: more of its classes, or new ones.")] = False
    remove: Annotated[
        Iterable[str],
        Option("Take a class out of the enrolled model in --out, or a clip; may be repeated.", metavar="NAME"),
    ] = ()
    overwrite: Annotated[bool, Option("Replace the model that --out holds.")] = False

    def __post_init__(self) -> None:
        """Keep what comes one by one: it is read more than once."""
        for name in ("negatives", "remove"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class CompressRequest(ListenerOptions, ResumeOptions):
    """``auricle compress``: a small student is cut out of a teacher and distilled on unlabelled audio."""

    teacher: Annotated[
        str, Argument("A .pt checkpoint of EfficientAT, or a model folder of efficientat or mobilenet.", "TEACHER")
    ]
    audio: Annotated[PathLike, Argument("Unlabelled audio: a folder, or a table with a column filename.", "AUDIO")]
    _: KW_ONLY
    out: Annotated[PathLike, Option("Folder that becomes the model; must be new or empty.", short="-o", metavar="DIR")]
    pools: Annotated[
        Iterable[PathLike], Option("More unlabelled audio; may be repeated.", flag="--pool", metavar="PATH")
    ] = ()
    leave_out: Annotated[
        Iterable[str], Option("Rows of AUDIO's table that are not taken; may be repeated.", metavar="COLUMN=VALUE")
    ] = ()
    crops: Annotated[int, Option("Mixtures that the teacher labels, most of 5 s.", metavar="N", least=1)] = 6_400
    steps: Annotated[int, Option("Steps of 32 crops.", metavar="N", least=1)] = 2_000
    start: Annotated[
        PathLike | None,
        Option("A student of before, whose weights are the start; TEACHER teaches on.", metavar="MODEL"),
    ] = None
    average: Annotated[
        Iterable[str],
        Option("A model whose weights the result is the mean with; may be repeated.", metavar="MODEL"),
    ] = ()
    crops_of: Annotated[
        PathLike | None,
        Option("Another run, its --out: take its recordings and crops, as runs with several seeds may.", metavar="DIR"),
    ] = None
    half: Annotated[bool, Option("Store the weights as float16: half of the bytes, the same speed.")] = True
    overrides: Annotated[
        Iterable[str],
        Option(
            "Change the student, such as frontend.n_mels=40 or model.residuals=[0,1,2,3,4,5,6,7,10,12,13,14].",
            flag="--set",
            metavar="KEY=VALUE",
        ),
    ] = ()
    seed: Annotated[int, Option("Seed of everything random.", metavar="N", least=0)] = 0

    def __post_init__(self) -> None:
        """Keep what comes one by one: it is read more than once."""
        for name in ("pools", "leave_out", "overrides", "average"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class BenchRequest(FormatOptions):
    """``auricle bench train``: the steps of training are timed, recipe beside recipe."""

    data: Annotated[PathLike | None, Argument("Labelled recordings to train on; noise if none is given.", "[DATA]")] = (
        None
    )
    _: KW_ONLY
    models: Annotated[
        Iterable[str] | None,
        Option("A network with its defaults; may be repeated.", flag="--model", short="-m", metavar="NAME"),
    ] = None
    recipes: Annotated[
        Iterable[PathLike] | None, Option("A recipe; may be repeated.", flag="--recipe", metavar="FILE")
    ] = None
    overrides: Annotated[
        Iterable[str],
        Option("Change one choice, such as optim.lr=0.001; may be repeated.", flag="--set", metavar="KEY=VALUE"),
    ] = ()
    batch_sizes: Annotated[
        Sequence[int] | None,
        Option(
            "Crops a step (the recipe's); may be repeated. Slow recipes (5 s a step) take the first only.",
            flag="--batch-size",
            metavar="N",
            least=1,
        ),
    ] = None
    precisions: Annotated[
        Sequence[str] | None,
        Option("Arithmetic, as run.precision; may be repeated.", flag="--precision", metavar="NAME"),
    ] = None
    clip_s: Annotated[
        float | None,
        Option("Length of a crop (as data.clip_s).", flag="--seconds", metavar="S", least=0.01, key="data.clip_s"),
    ] = None
    threads: Annotated[int | None, Option("CPU threads (as run.threads).", metavar="N", least=1, key="run.threads")] = (
        None
    )
    steps: Annotated[int, Option("Steps to time.", metavar="N", least=1)] = 10
    warm_up: Annotated[int, Option("Steps before them.", metavar="N", least=0)] = 3
    notice: Annotated[Callable[[str], None] | None, Option("Called with what is being measured.", python_only=True)] = (
        field(default=None, compare=False, repr=False)
    )
