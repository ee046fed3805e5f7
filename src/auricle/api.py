# SPDX-License-Identifier: Apache-2.0
"""The Python face of auricle: one function for each thing a user wants done.

The command line and the server call these same functions, so equal input gives equal results everywhere. A function
that ``takes`` a request is called with one, or with its fields: ``train("clips/", out="models/yard")``.
Torch is imported only by the functions that train.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from auricle.errors import InputError, UsageError
from auricle.files import require_writable
from auricle.progress import Progress
from auricle.recipe.model_requests import (
    EvaluateRequest,
    FalseAlarmsRequest,
    ImportRequest,
    Int8Request,
    PushRequest,
    ReportRequest,
    SiteRequest,
    TuneRequest,
)
from auricle.recipe.options import recipe_settings, takes
from auricle.recipe.requests import (
    BenchRequest,
    ClipOptions,
    CompressRequest,
    CrossvalRequest,
    EnrolRequest,
    ListenerOptions,
    PathLike,
    SweepRequest,
    TeachRequest,
    TrainRequest,
)
from auricle.recipe.scan_requests import (
    DEFAULT_MODEL,
    DeploymentRequest,
    EmbedRequest,
    ScanOptions,
    ScanRequest,
    SearchRequest,
)
from auricle.recipe.studio_requests import StudioRequest
from auricle.results import (
    SPOOF_LABELS,
    DetectResult,
    EnrolResult,
    Event,
    Failure,
    Int8Result,
    Report,
    RunResult,
    SearchResult,
    VectorsResult,
)
from auricle.runtime.detector import Detector, load

if TYPE_CHECKING:
    from auricle.audio.cutouts import CutoutFormat
    from auricle.audio.origin.deployment import DeploymentReport
    from auricle.data.manifest import Manifest
    from auricle.data.readable import OnFailure
    from auricle.distill.teach import TeachResult
    from auricle.evaluation.held_out import Chosen
    from auricle.evaluation.tuning.goals import Reached
    from auricle.exporting.web import Site
    from auricle.nn.network import Network
    from auricle.publishing.push import PushResult
    from auricle.runtime.bundle import Bundle
    from auricle.runtime.spec import PostprocessPart
    from auricle.scale.sweep import SweepResult
    from auricle.scanning.scan import ScanResult
    from auricle.studio.project import Studio
    from auricle.training.bench import TrainingBench
    from auricle.training.compress import CompressResult
    from auricle.training.crossval import CrossvalResult

__all__ = [
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


#: How often thresholds are raised until alarms are few enough.
_RAISES = 10


@takes(TrainRequest)
def train(request: TrainRequest) -> RunResult:
    """Train a model on labelled recordings and write it as a folder.

    Raises:
        UsageError: and its kinds, for wrong use, data, recipe or folders.
        TrainingError: if the loss is not finite any more.
        Interrupted: after a signal, when the state has been saved.
    """
    from auricle.training.run import open_run, run_training

    if request.workers is not None and request.engine != "ray":
        raise UsageError(
            f"workers = {request.workers} is for engine ray: on one machine start processes with torchrun "
            "(docs/cluster.md), or set loader processes with data.workers"
        )
    run = open_run(replace(request, progress=None))
    if request.engine == "ray":
        from auricle.scale.ray_train import train_on_cluster

        return train_on_cluster(run, 1 if request.workers is None else request.workers, _listener(request))
    return run_training(run, _listener(request))


@takes(CrossvalRequest)
def crossval(request: CrossvalRequest) -> CrossvalResult:
    """Measure a recipe by training on all folds but one, in turn.

    The data has a column ``fold``, else five folds are made by group. The model of ``init`` must have been trained on
    none of the clips.
    """
    from auricle.training.crossval import run_crossval
    from auricle.training.preparation import read_training_data
    from auricle.training.request_recipe import recipe_of

    listener = _listener(request)
    manifest = read_training_data(request.source, recipe_of(request), listener)
    recipe = recipe_of(request, manifest, listener)
    with tempfile.TemporaryDirectory(prefix="auricle-crossval-") as temporary:
        folder = Path(temporary if request.out is None else request.out)
        return run_crossval(
            manifest, recipe, seeds=range(request.seeds), out=folder, jobs=request.jobs, progress=listener
        )


@takes(CompressRequest)
def compress(request: CompressRequest) -> CompressResult:
    """Cut a small student out of a teacher, distil it on unlabelled audio, and write it as a model folder.

    Raises:
        UsageError: and its kinds, for an unknown teacher, wrong options, no audio, or the folder.
    """
    from auricle.training.compress import run_compression

    return run_compression(replace(request, progress=None), _listener(request))


@takes(EnrolRequest)
def enrol(request: EnrolRequest) -> EnrolResult:
    """Make a model of a few clips of some classes in seconds, without torch; or change one that was made so.

    Recordings that cannot be read are in the result; the others are enrolled.

    Raises:
        UsageError: and its kinds, for wrong use, a class without a clip, or the folder.
    """
    from auricle.enrolment.enrol import run_enrolment

    return run_enrolment(request)


@takes(TeachRequest)
def teach(request: TeachRequest) -> TeachResult:
    """Let a large model label recordings, and mixtures of them, for a small one to be trained on.

    Raises:
        UsageError: and its kinds, for an unknown teacher, wrong data or maps, or the folder.
    """
    from auricle.distill.teach import run_teaching

    spread = None
    if request.engine == "ray":
        from auricle.scale.ray_work import spread_on_cluster

        spread = partial(spread_on_cluster, jobs=request.jobs)
    return run_teaching(replace(request, progress=None), _listener(request), spread)


def _listener(request: ListenerOptions) -> Progress:
    """Return what is called with the progress: nothing, where the request names none."""
    return Progress() if request.progress is None else request.progress


@takes(Int8Request)
def export_int8(request: Int8Request) -> Int8Result:
    """Write a form of a model in 8 bits beside it, for ``load(model, precision="int8")``.

    Without ``data`` only the weights are made small.

    Raises:
        UsageError: no such model, part or fold, or a model that came with auricle.
        TrainingError: 8 bits cost more than the model's recipe allows.
    """
    from auricle.evaluation.evaluate import choose_clips
    from auricle.exporting.int8_model import export_int8 as export
    from auricle.runtime.bundle import load_bundle, resolve_model

    bundle = load_bundle(resolve_model(request.model))
    if request.data is None:
        return export(bundle, None)
    manifest = _read(request, request.data, bundle.spec.labels, bundle.spec.task)
    clips = choose_clips(manifest, split=request.split, fold=request.fold)
    return export(bundle, _readable(clips, request.on_failure))


@takes(ReportRequest)
def report(request: ReportRequest) -> Path:
    """Write one self-contained HTML page about a model.

    Returns:
        The page.

    Raises:
        UsageError: no such model, part or fold, a built-in model without ``out``, or a model to compare with that has
            other classes.
    """
    from auricle.reports.model_page import model_page
    from auricle.runtime.bundle import load_bundle, resolve_model
    from auricle.runtime.model_names import BUNDLES

    bundle = load_bundle(resolve_model(request.model))
    if request.out is None and bundle.path.resolve().is_relative_to(BUNDLES):
        raise UsageError(
            f"{bundle.spec.name} came with auricle and stays as it is; say where the page goes: --out FILE"
        )
    page = bundle.path / "report.html" if request.out is None else Path(request.out)
    against = None if request.against is None else _compared_with(bundle, request)
    require_writable(page.parent)
    model_page(page, bundle, _clips_for(bundle, against, request), against)
    return page


def _compared_with(bundle: Bundle, request: ReportRequest) -> Bundle:
    """Open the model that another one is compared with; raises ``UsageError`` where that makes no sense."""
    from auricle.runtime.bundle import load_bundle, resolve_model

    if request.data is None:
        raise UsageError("--against compares two models on labelled recordings: give --data too")
    against = load_bundle(resolve_model(str(request.against)))
    differing = sorted(set(bundle.spec.labels) ^ set(against.spec.labels))
    if differing or bundle.spec.task != against.spec.task:
        what = f"only one of them has {', '.join(differing[:5])}" if differing else "one has one class a clip"
        raise UsageError(f"{bundle.spec.name} and {against.spec.name} answer different questions: {what}")
    return against


def _clips_for(bundle: Bundle, against: Bundle | None, request: ReportRequest) -> Chosen | None:
    """Return the chosen clips of a data set whose classes must be the model's; None without data.

    Of two models, clips that one of them was trained on are held out from neither.
    """
    from auricle.data.trained_clips import worst_parts
    from auricle.evaluation.held_out import choose_readable
    from auricle.runtime.bundle import trained_clips

    if request.data is None:
        return None
    manifest = _read(request, request.data, bundle.spec.labels, bundle.spec.task)
    known = worst_parts(trained_clips(bundle), None if against is None else trained_clips(against))
    return choose_readable(manifest, known, split=request.split, fold=request.fold, on_failure=request.on_failure)


def _readable(manifest: Manifest, on_failure: OnFailure | None) -> Manifest:
    """Return the clips that can be read, if something is called for the others; else all."""
    from auricle.data.readable import keep_readable

    return manifest if on_failure is None else keep_readable(manifest, on_failure)


def _read(request: ClipOptions, data: PathLike, labels: Sequence[str], task: str) -> Manifest:
    """Return a data set whose classes must be these."""
    from auricle.data.formats.registry import read_source

    return read_source(request.source_at(data), labels=labels, task=task)


@takes(SiteRequest)
def export_site(request: SiteRequest) -> Site:
    """Write a static site in which a model runs inside the browser.

    Raises:
        UsageError: no such model or form, no network, or another package.
    """
    from auricle.exporting.web import export_site as export
    from auricle.runtime.bundle import load_bundle, resolve_model

    bundle = load_bundle(resolve_model(request.model))
    precision = "float32" if request.precision is None else request.precision
    tarball = None if request.tarball is None else Path(request.tarball)
    return export(bundle, Path(request.out), precision=precision, tarball=tarball)


def from_pretrained(name: PathLike) -> Network:
    """Return the network of a model as a module of torch, in evaluation mode, with its weights.

    Args:
        name: a folder, the name of a built-in model, or ``hf:org/name``.

    Returns:
        A module: waveforms ``(batch, sample)`` in, ``clip_logits``, ``frame_logits`` and ``embedding`` out.

    Raises:
        BundleError: it has no weights for training, or they do not fit.
    """
    from auricle.training.pretrained import from_pretrained as build

    return build(name)


@takes(ImportRequest)
def import_model(request: ImportRequest) -> Bundle:
    """Make a model folder of a model of others, without training.

    Raises:
        UsageError: it is of no known kind, or the folder is not empty.
        TrainingError: the exported graph scores otherwise than the original.
    """
    from auricle.training.foreign_models import import_model as write

    return write(request)


@takes(PushRequest)
def push(request: PushRequest) -> PushResult:
    """Publish a model on the Hugging Face hub, or its site as a static Space.

    Raises:
        UsageError: and its kinds, for the model, the name, no login, or what the hub refuses.
    """
    from auricle.publishing.push import push_model

    return push_model(request)


@takes(ScanRequest)
def scan(request: ScanRequest) -> ScanResult:
    """Tag, detect or embed any number of recordings; one that fails is a result with ``error``.

    Without ``out`` nothing is computed before the result is iterated over. With it, the folder is complete on return:
    results, ``failures.jsonl``, ``summary.json``, and a journal from which an interrupted scan resumes.

    Returns:
        An iterable of results in the order of the listing; with ``out`` they are read from the journal.

    Raises:
        UsageError: and its kinds, for wrong use, inputs, model or folders.
    """
    from auricle.runtime.thresholds import check_labels
    from auricle.scanning.folder import FolderScan
    from auricle.scanning.listing import Selection
    from auricle.scanning.scan import ScanProgress, find_entries, scan_entries, scan_into_folder
    from auricle.scanning.task import Task

    listener = ScanProgress() if request.progress is None else request.progress
    task, selection = Task.of(request), Selection.of(request)
    if task.cutouts is not None and "-" in selection.inputs:
        raise UsageError("- (stdin) cannot be read again, so it goes without --clips; save it to a file")

    def open_model() -> tuple[Task, Detector]:
        if request.model is None:
            listener.default_model()
        detector = task.load()
        if (device := getattr(detector.network, "device", "cpu")) != "cpu":
            listener.notice(f"computing on {device}")
        check_labels(task.thresholds, detector.labels)
        detector.check_prior(request.prior_spoof)
        detector.check_abstain(request.abstain)
        return task.of_model(detector), detector

    if request.out is None:
        given = {"--resume": request.resume, "--overwrite": request.overwrite, "--engine ray": request.engine == "ray"}
        for name in (name for name, value in given.items() if value):
            raise UsageError(f"{name} is for a scan into a folder: give --out DIR too")
        entries = find_entries(selection, notice=listener.notice)
        return scan_entries(entries, *open_model(), jobs=request.jobs, progress=listener)
    if request.engine == "ray":
        from auricle.scale.ray_work import work_on_cluster as work
    else:
        from auricle.scanning.workers import work_in_processes as work
    out = Path(request.out)
    task, detector = open_model()
    folder = FolderScan(
        selection, out, task, request.format, request.jobs, request.timeout_s, request.resume, request.overwrite
    )
    return scan_into_folder(folder, detector, work, listener)


@takes(DeploymentRequest)
def deployment(request: DeploymentRequest) -> DeploymentReport:
    """Say when recordings were made, and which gaps and overlaps lie between those of a recorder; decodes nothing.

    Raises:
        UsageError: no recording, or a time zone that is none.
    """
    from auricle.audio.listing import Listing
    from auricle.audio.origin.clocks import Clocks
    from auricle.audio.origin.deployment import deployments_of

    given = request.inputs
    names = [given] if isinstance(given, str | os.PathLike) else list(given)
    clocks = Clocks.of(request.time_zone, request.clock_zone)
    entries = Listing([os.fspath(name) for name in names], follow_links=request.follow_links)
    return deployments_of(entries, clocks, request.tolerance_s)


def cut_out(
    recording: PathLike,
    events: Sequence[Event],
    out: PathLike,
    *,
    lead_s: float = 1.0,
    tail_s: float = 1.0,
    format: CutoutFormat = "flac",
) -> list[Path]:
    """Write events of a recording as files of their own: all its channels, its rate, its samples.

    Names have the times and the label, and so have the metadata (``auricle.audio.cutouts.read_cutout_tags``).

    Args:
        recording: file that the events are of.
        events: as ``detect`` finds them, or made by hand.
        out: folder; it is made.
        lead_s: seconds of sound before an event, as far as there are any.
        tail_s: seconds behind it.
        format: ``flac`` or ``wav``.

    Returns:
        The files, in the order of the events.

    Raises:
        InputError: the recording cannot be read, or an event lies behind its end.
        UsageError: wrong options.
    """
    from auricle.audio.cutouts import CutoutOptions, write_cutouts

    path = os.fspath(recording)
    return write_cutouts(path, Path(path).name, events, CutoutOptions(os.fspath(out), lead_s, tail_s, format))


@takes(EmbedRequest)
def embed(request: EmbedRequest) -> ScanResult | VectorsResult:
    """Give one vector for each recording, as ``scan`` does; with ``windows`` write one for each window into ``out``.

    Raises:
        UsageError: and its kinds, for wrong use, inputs, model or folders.
    """
    kept = {item.name: getattr(request, item.name) for item in fields(ScanOptions)}
    if not request.windows:
        if request.window_s is not None or request.hop_s is not None:
            raise UsageError("--window and --hop cut recordings into windows: say --windows too")
        return scan(ScanRequest(request.inputs, command="embed", progress=request.progress, **kept))
    from auricle.audio.channels import read_channel
    from auricle.retrieval.index import write_vectors
    from auricle.retrieval.windows import window_rule
    from auricle.scanning.listing import Selection
    from auricle.scanning.scan import ScanProgress, find_entries

    if request.out is None:
        raise UsageError("--windows needs a folder for the vectors: --out DIR")
    if request.resume or request.engine != "local":
        raise UsageError("--windows writes all vectors in one go: it takes neither --resume nor --engine ray")
    if request.from_time is not None or request.to_time is not None:
        raise UsageError("--windows takes whole recordings, and no times of day (--from, --to)")
    listener = ScanProgress() if request.progress is None else request.progress
    if request.model is None:
        listener.default_model()
    model = DEFAULT_MODEL if request.model is None else request.model
    detector = load(model, precision=request.precision, device=request.device)
    rule = window_rule(detector.spec, request.window_s, request.hop_s)
    if (channel := read_channel(request.channel)) == "each":
        raise UsageError("--windows takes one channel or the mix: --channel each would give a row no name")
    detector = detector.of_channel(channel)
    selection = Selection.of(ScanRequest(request.inputs, command="embed", **kept))
    paths = [entry.path for entry in find_entries(selection, notice=listener.notice)]
    listener.begin("embeddings")
    try:
        return write_vectors(
            Path(request.out),
            detector,
            model,
            paths,
            rule,
            lambda done: listener.update(done, len(paths)),
            overwrite=request.overwrite,
        )
    finally:
        listener.end()


@takes(SearchRequest)
def search(request: SearchRequest) -> SearchResult:
    """Return the windows of an archive that are most like an example, by the cosine of their vectors.

    Raises:
        UsageError: no such vectors, or another model than theirs.
        InputError: the example cannot be read.
    """
    from auricle.audio.cutouts import CutoutOptions, write_cutouts
    from auricle.files import printable
    from auricle.retrieval.index import open_vectors
    from auricle.retrieval.search import search_example

    index = open_vectors(Path(request.index))
    detector = load(index.model if request.model is None else request.model)
    example = os.fspath(request.example)
    try:
        matches = search_example(detector, example, index, request.top)
    except InputError as error:
        raise InputError(error.code, f"{printable(example)}: {error.message}") from error
    clips = []
    if request.clips is not None:
        options = CutoutOptions(os.fspath(request.clips), request.lead_s, request.tail_s, request.clip_format)
        label = Path(example).stem
        for match in matches:
            event = Event(label, match.onset, match.offset, match.score)
            clips += [str(path) for path in write_cutouts(match.path, match.path, [event], options)]
    return SearchResult(example, tuple(matches), len(index.vectors), tuple(clips))


@takes(StudioRequest)
def open_studio(request: StudioRequest) -> Studio:
    """Open a folder of recordings to label it and to teach a detector: what ``auricle studio`` does in the browser.

    Returns:
        The project; ``with`` closes it. What it can do says ``auricle.Studio``.

    Raises:
        RunError: the folder is none, holds no recording, is open in another studio, or cannot be written.
    """
    from auricle.studio.project import Studio

    return Studio(request.folder, model=request.model, database=request.database, out=request.out, by=request.by)


@takes(SweepRequest)
def sweep(request: SweepRequest) -> SweepResult:
    """Search over the choices of a recipe, comparing trials on dev clips; test clips take no part.

    Raises:
        UsageError: and its kinds, for wrong use, data, recipe or folders.
        Interrupted: after a signal, when the state has been saved.
    """
    from auricle.data.splits import without_test
    from auricle.scale.space import read_sweep
    from auricle.scale.sweep import run_sweep
    from auricle.training.preparation import read_training_data

    listener = _listener(request)
    search = read_sweep(request.recipe, request.overrides, trials=request.trials, settings=recipe_settings(request))
    manifest = without_test(read_training_data(request.source, search.recipe, listener), request.test_fold)
    return run_sweep(search, manifest, Path(request.out), listener, resume=request.resume)


@takes(EvaluateRequest)
def evaluate(request: EvaluateRequest) -> Report:
    """Score a model on labelled recordings; its classes must be those of the data.

    ``scores``, ``from_scores``, ``against`` and ``asv_scores`` are for models that tell bona fide from spoofed speech.

    Raises:
        UsageError: no such part or fold, or classes that the model does not know.
        DataError: score files that do not fit the recordings.
    """
    from auricle.evaluation.evaluate import evaluate_clips
    from auricle.evaluation.held_out import choose_readable
    from auricle.evaluation.spoof.evaluate import ScoreFiles, evaluate_spoof
    from auricle.runtime.bundle import trained_clips

    if request.data is None:
        raise UsageError("no DATA: give labelled recordings, or --false-alarms with recordings of none of the classes")
    paths = (request.scores, request.from_scores, request.against, request.asv_scores)
    files = ScoreFiles(*(None if path is None else Path(path) for path in paths))
    if (request.model is None) == (request.from_scores is None):
        raise UsageError("give --model, or --from-scores with a score file: scores come from one of them")
    if request.model is None:
        manifest = _read(request, request.data, SPOOF_LABELS, "single")
        return evaluate_spoof(manifest, files, split=request.split, fold=request.fold)
    detector = load(request.model, precision=request.precision)
    manifest = _read(request, request.data, detector.labels, detector.spec.task)
    chosen = choose_readable(
        manifest, trained_clips(detector.bundle),
        split=request.split, fold=request.fold, on_failure=request.on_failure,
    )  # fmt: skip
    note = {**chosen.details(), **({"note": chosen.note} if chosen.note else {})}
    if detector.spec.is_spoof:
        systems = detector.spec.provenance.systems
        report = evaluate_spoof(chosen.manifest, files, split=None, fold=None, detector=detector, known_systems=systems)
        return replace(report, details={**report.details, **note})
    if (option := files.first_given()) is not None:
        raise UsageError(f"{option} is for models with the labels bonafide and spoof; {request.model} has others")
    report = evaluate_clips(detector, chosen.manifest)
    return replace(report, details={**report.details, **note})


@takes(FalseAlarmsRequest)
def false_alarms(request: FalseAlarmsRequest) -> Report:
    """Count events in recordings that hold none of the model's classes.

    Raises:
        InputError: a recording cannot be used and nobody is told, or none can.
        UsageError: no recording, or no sound in them.
    """
    from auricle.evaluation.events.false_alarms import raised_thresholds
    from auricle.runtime.bundle import add_files
    from auricle.runtime.tracker import on_thresholds

    detector = load(request.model, precision=request.precision)
    limits = dict(zip(detector.labels, on_thresholds(detector.spec, request.threshold), strict=True))
    results, failures = _alarms(request, detector, request.threshold)
    if request.at_most is not None:
        if request.threshold is not None:
            raise UsageError("thresholds are raised from the model's own: leave the threshold out")
        _require_own(request.model, detector)
        # Where a threshold rises, an event may fall into two: it is looked at again.
        for _ in range(_RAISES):
            raised = raised_thresholds(results, limits, request.at_most)
            if raised == limits:
                break
            limits = raised
            results, _ = _alarms(request, detector, limits)
        add_files(detector.bundle.path, {}, detector.spec.model_copy(update={"thresholds": limits}))
    return _alarm_report(request, results, detector.labels, limits, failures)


def _alarms(
    request: FalseAlarmsRequest, detector: Detector, threshold: float | Mapping[str, float] | None
) -> tuple[list[DetectResult], dict[str, Failure]]:
    """Return the events of quiet recordings, and which could not be read."""
    from auricle.audio.listing import Listing
    from auricle.files import printable

    results, failures = [], dict[str, Failure]()
    for entry in Listing(_names(request.quiet)):
        try:
            if entry.error is not None:
                raise InputError(entry.error.code, entry.error.message)
            results.append(detector.detect(entry.path, threshold=None if threshold is None else _plain(threshold)))
        except InputError as error:
            if request.on_failure is None:
                raise InputError(error.code, f"{printable(entry.path)}: {error.message}") from error
            failures[entry.path] = Failure(error.code, error.message)
            request.on_failure(entry.path, failures[entry.path])
    if failures and not results:
        raise InputError(next(iter(failures.values())).code, "none of the recordings can be read")
    return results, failures


def _plain(threshold: float | Mapping[str, float]) -> float | dict[str, float]:
    """Return thresholds as ``Detector.detect`` takes them."""
    return dict(threshold) if isinstance(threshold, Mapping) else threshold


def _names(paths: PathLike | Sequence[PathLike]) -> list[str]:
    """Return one path or several as texts."""
    return [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def _alarm_report(
    request: FalseAlarmsRequest,
    results: Sequence[DetectResult],
    labels: Sequence[str],
    limits: Mapping[str, float],
    failures: Mapping[str, Failure],
) -> Report:
    from auricle.evaluation.events.false_alarms import false_alarm_report

    try:
        report = false_alarm_report(results, labels, limits)
    except ValueError as error:
        raise UsageError(f"{', '.join(_names(request.quiet))}: {error}; give recordings of some minutes") from error
    return replace(report, details={**report.details, **({"unreadable": len(failures)} if failures else {})})


def _require_own(model: str, detector: Detector) -> None:
    """Refuse to change a model that came with auricle or from the hub."""
    from auricle.runtime.bundle import builtin_models

    if model in builtin_models() or model.startswith("hf:"):
        raise UsageError(
            f"{model} is not a folder of yours, so it is not changed; copy {detector.bundle.path} and tune that"
        )
    require_writable(detector.bundle.path)


@takes(TuneRequest)
def tune(request: TuneRequest) -> Report:
    """Fit how a model makes events of scores on the dev part of labelled recordings, and store it in the model.

    Where labels say when, that is the filter, hysteresis and threshold of each class, or with ``boxes`` the settings of
    boxes between change points; else filter and threshold. The model folder is replaced as a whole or not at all.
    Any other ``split`` than dev is refused, and any ``fold``.

    Returns:
        The report on the dev part, tuned: too good by nature. ``details["tuned"]`` says what was fitted.

    Raises:
        UsageError: another part than dev, none, or a model that cannot be written.
    """
    from auricle.evaluation.evaluate import evaluate_clips
    from auricle.evaluation.held_out import choose_dev, refuse_trained
    from auricle.evaluation.tuning.model import dev_part, tune_detector
    from auricle.runtime.bundle import add_files, builtin_models, trained_clips
    from auricle.runtime.spec import PostprocessPart

    model, split, fold = request.model, request.split, request.fold
    detector = load(model)
    spec = detector.spec
    if model in builtin_models() or model.startswith("hf:"):
        raise UsageError(
            f"{model} is not a folder of yours, so it is not changed; copy {detector.bundle.path} and tune that"
        )
    if spec.is_spoof:
        raise UsageError(f"{model} tells bona fide from spoofed speech: it makes no events to tune")
    everything = _read(request, request.data, detector.labels, spec.task)
    known = trained_clips(detector.bundle)
    manifest = choose_dev(everything, known) if split is None and fold is None else None
    if manifest is None:
        manifest = dev_part(everything, split=split, fold=fold)
        refuse_trained(manifest, known, f"--tune with {request.data}")
    require_writable(detector.bundle.path)
    manifest = _readable(manifest, request.on_failure)
    post = spec.postprocess
    tuned = tune_detector(
        detector,
        manifest,
        boxes=request.boxes,
        min_event_s=post.min_event_s,
        off_ratio=post.off_ratio,
        max_gap_s=post.max_gap_s,
    )
    changed = PostprocessPart.model_validate({**post.model_dump(), **tuned.postprocess})
    thresholds, goals = dict(tuned.thresholds), {}
    if request.min_precision is not None:
        reached = _reach_precision(detector, manifest, changed, request.min_precision)
        thresholds = {label: goal.threshold for label, goal in reached.items()}
        rows = {label: goal.to_dict() for label, goal in reached.items()}
        goals = {"min_precision": request.min_precision, "reached": rows}
    add_files(
        detector.bundle.path,
        {},
        spec.model_copy(update={"postprocess": changed, "thresholds": thresholds}),
    )
    report = evaluate_clips(load(model), manifest)
    fitted = {"clips": tuned.clips, "strong": tuned.strong, **tuned.postprocess, "thresholds": thresholds, **goals}
    return replace(report, details={**report.details, "tuned": fitted})


def _reach_precision(detector: Detector, manifest: Manifest, post: PostprocessPart, goal: float) -> dict[str, Reached]:
    """Return the threshold of each class at which so many of the recordings that are named are right."""
    from auricle.data.clip_audio import read_clip
    from auricle.evaluation.tuning.goals import reach_for_all

    if post.boxes is not None:
        raise UsageError("--min-precision is about thresholds of scores: leave --boxes out")
    labels, spec, frames = detector.labels, detector.spec, []
    for clip in manifest.clips:
        audio = read_clip(clip, manifest.arrays)
        frames.append(detector.frames(audio.samples, audio.sample_rate).values)
    return reach_for_all(
        frames,
        manifest.targets() >= 0.5,
        labels,
        goal,
        step_s=spec.grid.step_s(spec.sample_rate),
        medians_s={label: post.median_of(label) for label in labels},
        off_ratios={label: post.off_ratio_of(label) for label in labels},
        min_event_s=post.min_event_s,
    )


@takes(BenchRequest)
def bench_train(request: BenchRequest) -> TrainingBench:
    """Time some steps of training, recipe beside recipe.

    Raises:
        UsageError: neither networks nor recipes, or one that is unknown.
        DataError: fewer clips than a batch.
    """
    from auricle.training.bench import bench_recipes
    from auricle.training.request_recipe import make_request_recipe

    overrides, settings = list(request.overrides), recipe_settings(request)
    chosen = {name: make_request_recipe(name, None, overrides, None, settings) for name in request.models or ()}
    for file in request.recipes or ():
        chosen[Path(file).stem] = make_request_recipe("crnn", file, overrides, None, settings)
    if not chosen:
        raise UsageError("nothing to measure: give --model NAME or --recipe FILE, such as --model rawnet")
    return bench_recipes(
        chosen,
        data=None if request.data is None else request.source_at(request.data),
        batch_sizes=request.batch_sizes,
        precisions=request.precisions,
        steps=request.steps,
        warm_up=request.warm_up,
        notice=_unheard if request.notice is None else request.notice,
    )


def _unheard(text: str) -> None:
    """Drop a notice."""
