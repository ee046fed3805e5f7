# SPDX-License-Identifier: Apache-2.0
"""What can be asked about recordings: ``tag``, ``detect``, ``embed``, ``data deployment``. See ``recipe.requests``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, Literal

from auricle.recipe.options import Argument, Option
from auricle.recipe.requests import PathLike

#: What tag, detect, listen and serve use when no model is named.
DEFAULT_MODEL = "general"


@dataclass(frozen=True, kw_only=True)
class ZoneOptions:
    """What the clocks of recorders showed."""

    time_zone: Annotated[
        str | None,
        Option(
            "Show starts in this time zone: Europe/Berlin, UTC, +02:00. Names and headers without one are read in it.",
            metavar="ZONE",
        ),
    ] = None
    clock_zone: Annotated[
        str | None,
        Option("Time zone of the recorder's clock, where it is not --time-zone: UTC, +02:00.", metavar="ZONE"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ClockOptions(ZoneOptions):
    """When recordings were made, and from which times of day they are taken."""

    from_time: Annotated[
        str | None,
        Option("Take only what was recorded from this time of day on, such as 04:30.", flag="--from", metavar="TIME"),
    ] = None
    to_time: Annotated[
        str | None,
        Option("Take only what was recorded before this time of day; 22:00 to 04:00 spans midnight.", flag="--to",
               metavar="TIME"),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScanOptions(ClockOptions):
    """What ``tag``, ``detect`` and ``embed`` have in common."""

    model: Annotated[
        str | None,
        Option(
            "A folder (with a / or existing) or the name of a built-in model.",
            short="-m",
            metavar="MODEL",
            shown=DEFAULT_MODEL,
        ),
    ] = None
    out: Annotated[
        PathLike | None,
        Option(
            "Scan into this folder: results, failures.jsonl, summary.json, and a journal to resume from.",
            short="-o",
            metavar="DIR",
        ),
    ] = None
    resume: Annotated[bool, Option("Resume the scan in --out.")] = False
    overwrite: Annotated[bool, Option("Throw away the scan in --out and start anew.")] = False
    list_file: Annotated[
        PathLike | None,
        Option("Also take the recordings listed in this file (- for stdin): paths, one a line or ended by NUL.",
               flag="--list", metavar="FILE"),
    ] = None  # fmt: skip
    follow_links: Annotated[bool, Option("Also read what is linked from within a folder and lies outside it.")] = False
    channel: Annotated[
        int | str,
        Option("Which channel to take: a number from 1 on, each (a result for each), or mix, the mean of all.",
               metavar="N|each|mix"),
    ] = "mix"  # fmt: skip
    jobs: Annotated[
        int,
        Option("Recordings scored at the same time; processes with --out.", short="-j", metavar="N", least=1),
    ] = 1
    timeout_s: Annotated[
        float,
        Option("Seconds that one recording may bring nothing, with --out.", flag="--timeout", metavar="S", least=0.001),
    ] = 600.0
    engine: Annotated[
        Literal["local", "ray"], Option("Work on this machine, or on a Ray cluster (docs/cluster.md).")
    ] = "local"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "rocm", "coreml", "openvino", "directml"],
        Option("Where to compute, by the installed ONNX Runtime; auto is CUDA where it has that, else the processor."),
    ] = "auto"
    precision: Annotated[Literal["float32", "int8"], Option("Which graph of the model to run.")] = "float32"


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """Which events ``detect`` keeps, in this order."""

    labels: Annotated[
        Sequence[str], Option("Keep only events of this label (or several with commas); repeatable.", metavar="LABEL")
    ] = ()
    merge_gap_s: Annotated[
        float | None,
        Option("Join events of a label that lie at most this far apart.", flag="--merge-gap", metavar="S", least=0),
    ] = None
    min_duration_s: Annotated[
        float, Option("Leave out shorter events.", flag="--min-duration", metavar="S", least=0)
    ] = 0.0
    top_events: Annotated[int | None, Option("Keep only the strongest N of each recording.", metavar="N", least=1)] = (
        None
    )

    def __post_init__(self) -> None:
        """Keep labels that come one by one, and take a single one."""
        labels = [self.labels] if isinstance(self.labels, str) else self.labels
        object.__setattr__(self, "labels", tuple(labels))


@dataclass(frozen=True)
class ScanRequest(ScanOptions, EventOptions):
    """``auricle tag``, ``detect`` and ``embed``: one model over any number of recordings."""

    inputs: Annotated[
        PathLike | Sequence[PathLike],
        Argument("Recordings: files, folders (searched through), globs, or - for stdin.", "INPUT"),
    ] = ()
    _: KW_ONLY
    command: Annotated[Literal["tag", "detect", "embed"], Option("Which result is wanted.", python_only=True)] = "tag"
    format: Annotated[
        str,
        Option(
            "Of the results: json or csv; with out also parquet; of detect also audacity, birdnet, kaleidoscope, raven "
            "and rttm.",
            python_only=True,
        ),
    ] = "json"
    top: Annotated[
        int | None, Option("Of tag: labels to keep of each recording; None keeps all.", python_only=True)
    ] = None
    threshold: Annotated[
        Any,
        Option(
            "A number, or a number for some labels. Of tag: lower scores are not kept; of detect: where an event "
            "begins, None is the model's.",
            python_only=True,
        ),
    ] = None
    classes: Annotated[
        Sequence[str],
        Option("Of tag and detect: only these classes, or groups of AudioSet's (Animal).", python_only=True),
    ] = ()
    prior_spoof: Annotated[float | None, Option("Of tag: as for Detector.tag.", python_only=True)] = None
    abstain: Annotated[float | None, Option("Of tag: as for Detector.tag.", python_only=True)] = None
    cutouts: Annotated[
        Any,
        Option("Of detect: CutoutOptions, to write each event as a file too, as its recording's turn comes.",
               python_only=True),
    ] = None  # fmt: skip
    progress: Annotated[Any, Option("Listener, a ScanProgress; None for nobody.", python_only=True)] = field(
        default=None, compare=False, repr=False
    )


@dataclass(frozen=True, kw_only=True)
class DeploymentOptions(ZoneOptions):
    """How recordings are put in order."""

    tolerance_s: Annotated[
        float,
        Option("Seconds by which recordings may lie apart or overlap.", flag="--tolerance", metavar="S", least=0),
    ] = 2.0
    follow_links: Annotated[bool, Option("Also read what is linked from within a folder and lies outside it.")] = False


@dataclass(frozen=True)
class DeploymentRequest(DeploymentOptions):
    """``auricle data deployment``: when recordings were made, and what is missing between them."""

    inputs: Annotated[
        PathLike | Sequence[PathLike], Argument("Recordings: files, folders (searched through) or globs.", "INPUT")
    ]


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """One vector for each window instead of one for each recording."""

    windows: Annotated[
        bool, Option("Write a vector for each window, with its times, into --out: what `auricle search` looks through.")
    ] = False
    window_s: Annotated[
        float | None,
        Option(
            "Length of a window, with --windows.",
            flag="--window",
            metavar="S",
            least=0.01,
            shown="3, or the model's own where it takes no other",
        ),
    ] = None
    hop_s: Annotated[
        float | None,
        Option("Seconds between two windows, with --windows.", flag="--hop", metavar="S", least=0.01, shown="--window"),
    ] = None


@dataclass(frozen=True)
class EmbedRequest(ScanOptions, WindowOptions):
    """``auricle embed``: recordings, or their windows, become vectors."""

    inputs: Annotated[
        PathLike | Sequence[PathLike],
        Argument("Recordings: files, folders (searched through), globs, or - for stdin.", "INPUT"),
    ] = ()
    _: KW_ONLY
    progress: Annotated[Any, Option("Listener: is told how far it is; None for nobody.", python_only=True)] = field(
        default=None, compare=False, repr=False
    )


@dataclass(frozen=True)
class SearchRequest:
    """``auricle search``: which windows of an archive are most like an example?"""

    example: Annotated[PathLike, Argument("A recording; its loudest window is looked for.", "EXAMPLE")]
    _: KW_ONLY
    index: Annotated[PathLike, Option("Folder of `auricle embed --windows`.", flag="--in", metavar="DIR")]
    model: Annotated[
        str | None, Option("The model that made the vectors.", short="-m", metavar="MODEL", shown="as the folder says")
    ] = None
    top: Annotated[int, Option("Windows to show.", metavar="N", least=1)] = 20
    clips: Annotated[PathLike | None, Option("Write each window as a file into this folder too.", metavar="DIR")] = None
    lead_s: Annotated[float, Option("Seconds before a window, with --clips.", flag="--lead", metavar="S", least=0)] = (
        0.0
    )
    tail_s: Annotated[float, Option("Seconds behind a window, with --clips.", flag="--tail", metavar="S", least=0)] = (
        0.0
    )
    clip_format: Annotated[Literal["flac", "wav"], Option("Format of those files.")] = "flac"
