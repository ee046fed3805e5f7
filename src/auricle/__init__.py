# SPDX-License-Identifier: Apache-2.0
"""Train small sound detectors, distilled from large models, and run them anywhere.

    import auricle

    detector = auricle.load("models/yard")
    for event in detector.detect("night.flac").events:
        print(event.label, event.onset, event.offset, event.score)

Everything in ``__all__`` is public and loaded when it is first asked for, so that ``import auricle``
is instant and needs neither numpy nor torch.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auricle.api import (
        bench_train,
        compress,
        crossval,
        cut_out,
        deployment,
        embed,
        enrol,
        evaluate,
        export_int8,
        export_site,
        false_alarms,
        from_pretrained,
        import_model,
        load,
        open_studio,
        push,
        report,
        scan,
        search,
        sweep,
        teach,
        train,
        tune,
    )
    from auricle.audio.cutouts import CutoutOptions
    from auricle.audio.origin.deployment import Deployment, DeploymentReport, Joint, PlacedRecording
    from auricle.errors import (
        AuricleError,
        BundleError,
        ConfigError,
        DataError,
        InputError,
        Interrupted,
        RunError,
        TrainingError,
        UsageError,
    )
    from auricle.results import (
        DetectResult,
        EmbedResult,
        EnrolResult,
        Event,
        EventStart,
        Failure,
        Flag,
        Int8Result,
        Interval,
        LabelScore,
        Match,
        Origin,
        Report,
        RunResult,
        Scores,
        SearchResult,
        TagResult,
        VectorsResult,
    )
    from auricle.runtime.detector import Detector
    from auricle.runtime.stream import Stream
    from auricle.scanning.scan import ScanProgress, ScanResult
    from auricle.studio.project import Studio
    from auricle.training.embedder import Embedder

__version__ = "0.2.0"

# A library is silent until the program around it wants its records (docs/howto/from-python.md).
logging.getLogger("auricle").addHandler(logging.NullHandler())

_HOMES = {
    "auricle.audio.origin.deployment": ("Deployment", "DeploymentReport", "Joint", "PlacedRecording"),
    "auricle.api": (
        "bench_train",
        "compress",
        "crossval",
        "cut_out",
        "deployment",
        "embed",
        "enrol",
        "evaluate",
        "export_int8",
        "export_site",
        "false_alarms",
        "from_pretrained",
        "import_model",
        "load",
        "open_studio",
        "push",
        "report",
        "scan",
        "search",
        "sweep",
        "teach",
        "train",
        "tune",
    ),
    "auricle.audio.cutouts": ("CutoutOptions",),
    "auricle.errors": (
        "AuricleError",
        "BundleError",
        "ConfigError",
        "DataError",
        "InputError",
        "Interrupted",
        "RunError",
        "TrainingError",
        "UsageError",
    ),
    "auricle.results": (
        "DetectResult",
        "EmbedResult",
        "EnrolResult",
        "Event",
        "EventStart",
        "Failure",
        "Flag",
        "Int8Result",
        "Interval",
        "LabelScore",
        "Match",
        "Origin",
        "Report",
        "RunResult",
        "Scores",
        "SearchResult",
        "TagResult",
        "VectorsResult",
    ),
    "auricle.runtime.detector": ("Detector",),
    "auricle.runtime.stream": ("Stream",),
    "auricle.scanning.scan": ("ScanProgress", "ScanResult"),
    "auricle.studio.project": ("Studio",),
    "auricle.training.embedder": ("Embedder",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AuricleError",
    "BundleError",
    "ConfigError",
    "CutoutOptions",
    "DataError",
    "Deployment",
    "DeploymentReport",
    "DetectResult",
    "Detector",
    "EmbedResult",
    "Embedder",
    "EnrolResult",
    "Event",
    "EventStart",
    "Failure",
    "Flag",
    "InputError",
    "Int8Result",
    "Interrupted",
    "Interval",
    "Joint",
    "LabelScore",
    "Match",
    "Origin",
    "PlacedRecording",
    "Report",
    "RunError",
    "RunResult",
    "ScanProgress",
    "ScanResult",
    "Scores",
    "SearchResult",
    "Stream",
    "Studio",
    "TagResult",
    "TrainingError",
    "UsageError",
    "VectorsResult",
    "__version__",
    "bench_train",
    "compress",
    "crossval",
    "cut_out",
    "deployment",
    "embed",
    "enrol",
    "evaluate",
    "export_int8",
    "export_site",
    "false_alarms",
    "from_pretrained",
    "import_model",
    "load",
    "open_studio",
    "push",
    "report",
    "scan",
    "search",
    "sweep",
    "teach",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'auricle' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what is public."""
    return __all__
