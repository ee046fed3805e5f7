# SPDX-License-Identifier: Apache-2.0
"""The Python face of auricle: one function for each thing a user wants done.

The command line and the server call these same functions, so equal input gives equal results everywhere.
Torch is imported only by the functions that train.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from auricle.errors import InputError, UsageError
from auricle.results import SPOOF_LABELS, Int8Result, Report, RunResult
from auricle.runtime.detector import Detector, load

if TYPE_CHECKING:
    from auricle.data.manifest import Manifest
    from auricle.distill.teach import TeachResult
    from auricle.exporting.web import Site
    from auricle.progress import Progress
    from auricle.runtime.bundle import Bundle
    from auricle.runtime.thresholds import Thresholds
    from auricle.scale.sweep import SweepResult
    from auricle.scanning.scan import ScanProgress, ScanResult
    from auricle.training.bench import TrainingBench
    from auricle.training.crossval import CrossvalResult

__all__ = [
    "bench_train",
    "crossval",
    "evaluate",
    "export_int8",
    "export_site",
    "false_alarms",
    "load",
    "report",
    "scan",
    "sweep",
    "teach",
    "train",
    "tune",
]

PathLike = str | os.PathLike[str]


def train(
    data: PathLike,
    *,
    out: PathLike,
    model: str = "crnn",
    recipe: PathLike | None = None,
    overrides: Iterable[str] = (),
    soft: PathLike | None = None,
    data_format: str = "auto",
    sample_rate: int | None = None,
    test_fold: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    fork: PathLike | None = None,
    init: str | None = None,
    new_head: bool = False,
    seed: int | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Train a model on labelled recordings and write it as a folder.

    Args:
        data: class folders, a table, or arrays with soft labels.
        out: folder of the model; must be new or empty, unless ``resume`` or ``overwrite``.
        model: network by name.
        recipe: YAML file; None takes the defaults.
        overrides: ``a.b=c`` assignments over the recipe.
        soft: folder of soft labels that ``teach`` wrote, or a CSV of them for the same files.
        data_format: form of the data; ``auto`` recognises it.
        sample_rate: of waveform arrays that do not say theirs, in Hz.
        test_fold: fold to hold out and score once at the end.
        resume: go on with the run in ``out``.
        overwrite: throw away what ``out`` holds.
        fork: new folder in which to go on with the run in ``out``, with other data, recipe or code.
        init: model whose weights to start from.
        new_head: with ``init``, for other classes.
        seed: of everything random; over the recipe's.
        engine: ``ray`` trains on a Ray cluster: that of ``RAY_ADDRESS``, or one of this machine.
        workers: with ``ray``, processes that train together; None is one.
        progress: listener.

    Raises:
        UsageError: and its kinds, for wrong use, data, recipe or folders.
        TrainingError: if the loss is not finite any more.
        Interrupted: after a signal, when the state has been saved.
    """
    from auricle.progress import Progress as Silent
    from auricle.training.run import Request, make_request_recipe, run_training

    if workers is not None and engine != "ray":
        raise UsageError(
            f"workers = {workers} is for engine ray: on one machine start processes with torchrun (docs/cluster.md), "
            "or set loader processes with data.workers"
        )
    request = Request(
        data=Path(data),
        out=Path(out if fork is None else fork),
        recipe=make_request_recipe(model, None if recipe is None else Path(recipe), overrides, seed),
        data_format=data_format,
        sample_rate=sample_rate,
        soft=None if soft is None else Path(soft),
        test_fold=test_fold,
        resume=resume,
        overwrite=overwrite,
        source=None if fork is None else Path(out),
        init=init,
        new_head=new_head,
    )
    listener = Silent() if progress is None else progress
    if engine == "ray":
        from auricle.scale.ray_train import train_on_cluster

        return train_on_cluster(request, 1 if workers is None else workers, listener)
    return run_training(request, listener)


def crossval(
    data: PathLike,
    *,
    model: str = "crnn",
    recipe: PathLike | None = None,
    overrides: Iterable[str] = (),
    seeds: int = 1,
    out: PathLike | None = None,
    jobs: int = 1,
    soft: PathLike | None = None,
    init: str | None = None,
    new_head: bool = False,
    data_format: str = "auto",
    sample_rate: int | None = None,
    progress: Progress | None = None,
) -> CrossvalResult:
    """Measure a recipe by training on all folds but one, in turn.

    Args:
        data: with a column ``fold``, else five folds are made by group.
        model: network by name.
        recipe: YAML file; None takes the defaults.
        overrides: ``a.b=c`` assignments over the recipe.
        seeds: how many repetitions; they use the seeds 0, 1, 2, ...
        out: folder that keeps every fold's model; None keeps nothing.
        jobs: folds trained at once.
        soft: folder of soft labels that ``teach`` wrote, or a CSV of them.
        init: model whose weights every fold starts from; it must not have heard any of its clips.
        new_head: with ``init``, for other classes.
        data_format: form of the data; ``auto`` recognises it.
        sample_rate: of waveform arrays that do not say theirs, in Hz.
        progress: listener.
    """
    from auricle.progress import Progress as Silent
    from auricle.training.crossval import run_crossval
    from auricle.training.preparation import read_training_data, with_soft
    from auricle.training.run import Start, make_request_recipe

    settings = make_request_recipe(model, None if recipe is None else Path(recipe), overrides, None)
    settings = with_soft(settings, soft)
    manifest = read_training_data(
        Path(data),
        settings,
        data_format=data_format,
        sample_rate=sample_rate,
        soft=None if soft is None else Path(soft),
    )
    listener = Silent() if progress is None else progress
    with tempfile.TemporaryDirectory(prefix="auricle-crossval-") as temporary:
        folder = Path(temporary) if out is None else Path(out)
        start = None if init is None else Start(init, new_head)
        return run_crossval(
            manifest, settings, seeds=range(seeds), out=folder, jobs=jobs, progress=listener, start=start
        )


def teach(
    audio: PathLike,
    *,
    teacher: str,
    out: PathLike,
    pool: PathLike | None = None,
    leave_out: Iterable[str] = (),
    mixtures: int = 0,
    mixture_s: float | None = None,
    window_s: float = 5.0,
    hop_s: float | None = None,
    label_map: PathLike | None = None,
    fit: bool = False,
    embeddings: bool = True,
    unlabelled: bool = False,
    data_format: str = "auto",
    sample_rate: int | None = None,
    seed: int = 0,
    bf16: bool = False,
    download: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    engine: Literal["local", "ray"] = "local",
    jobs: int = 1,
    progress: Progress | None = None,
) -> TeachResult:
    """Let a large model label recordings, and mixtures of them, for a small one to learn from.

    Args:
        audio: a data set of any form, or with ``unlabelled`` a folder or table of audio.
        teacher: ``hf:org/name`` or a folder of transformers, a ``.pt`` checkpoint of EfficientAT, an ``.onnx`` tagger
            with its ``.json``, or a model of auricle; several joined with commas are averaged.
        out: folder of soft labels; must be new or empty, unless ``resume`` or ``overwrite``.
        pool: folder or table of unlabelled audio to go with it.
        leave_out: ``COLUMN=VALUE``: rows of the pool's table that are not taken.
        mixtures: how many new sounds to make of the recordings and the pool, and label too.
        mixture_s: length of a mixture in seconds; about 5 s if None.
        window_s: length of a window in seconds; the student's crops must be a whole number of them.
        hop_s: step between windows; the window itself if None.
        label_map: table ``label,teacher`` from the teacher's classes to the user's.
        fit: write labels of the user's classes, by a head fitted on the teacher's embeddings.
        embeddings: keep the teacher's embeddings.
        unlabelled: look for no labels in ``audio``.
        data_format: form of the data; ``auto`` recognises it.
        sample_rate: of waveform arrays that do not say theirs, in Hz.
        seed: of the mixtures.
        bf16: compute in bf16: faster on some machines, and not the same bits.
        download: fetch ``hf:org/name`` if it is not on this machine.
        resume: go on with the run in ``out``.
        overwrite: throw away what ``out`` holds.
        engine: ``ray`` labels on a Ray cluster: that of ``RAY_ADDRESS``, or one of this machine.
        jobs: with ``ray``, teachers that label at the same time.
        progress: listener.

    Raises:
        UsageError: and its kinds, for an unknown teacher, wrong data or maps, or the folder.
    """
    from auricle.distill.teach import TeachRequest, run_teaching
    from auricle.progress import Progress as Silent

    request = TeachRequest(
        audio=Path(audio),
        teacher=teacher,
        out=Path(out),
        pool=None if pool is None else Path(pool),
        leave_out=tuple(leave_out),
        mixtures=mixtures,
        mixture_s=mixture_s,
        window_s=window_s,
        hop_s=hop_s,
        label_map=None if label_map is None else Path(label_map),
        fit=fit,
        embeddings=embeddings,
        unlabelled=unlabelled,
        data_format=data_format,
        sample_rate=sample_rate,
        seed=seed,
        bf16=bf16,
        download=download,
        resume=resume,
        overwrite=overwrite,
    )
    spread = None
    if engine == "ray":
        from auricle.scale.ray_work import spread_on_cluster

        spread = partial(spread_on_cluster, jobs=jobs)
    return run_teaching(request, Silent() if progress is None else progress, spread)


def export_int8(
    model: PathLike, *, data: PathLike | None = None, split: str | None = None, fold: str | None = None
) -> Int8Result:
    """Write a form of a model in 8 bits beside it, for ``load(model, precision="int8")``.

    Args:
        model: a folder.
        data: labelled recordings that both forms are measured on; None makes only the weights small.
        split: take only this part of ``data``, such as ``dev``.
        fold: take only this fold of ``data``.

    Raises:
        UsageError: no such model, part or fold, or a model that came with auricle.
        TrainingError: 8 bits cost more than the model's recipe allows.
    """
    from auricle.exporting.int8_model import export_int8 as export
    from auricle.runtime.bundle import load_bundle, resolve_model

    bundle = load_bundle(resolve_model(model))
    return export(bundle, _clips_for(bundle, data, split, fold))


def report(
    model: PathLike,
    *,
    data: PathLike | None = None,
    split: str | None = None,
    fold: str | None = None,
    out: PathLike | None = None,
) -> Path:
    """Write one self-contained HTML page about a model.

    Args:
        model: a folder, or the name of a built-in model.
        data: labelled recordings that it is measured on.
        split: take only this part of ``data``, such as ``test``.
        fold: take only this fold of ``data``.
        out: file to write; None writes ``report.html`` into the folder of the model.

    Returns:
        The page.

    Raises:
        UsageError: no such model, part or fold, or a built-in model without ``out``.
    """
    from auricle.reports.model_page import model_page
    from auricle.runtime.bundle import load_bundle, resolve_model
    from auricle.runtime.model_names import BUNDLES

    bundle = load_bundle(resolve_model(model))
    if out is None and bundle.path.resolve().is_relative_to(BUNDLES):
        raise UsageError(
            f"{bundle.spec.name} came with auricle and stays as it is; say where the page goes: --out FILE"
        )
    page = bundle.path / "report.html" if out is None else Path(out)
    model_page(page, bundle, _clips_for(bundle, data, split, fold))
    return page


def _clips_for(bundle: Bundle, data: PathLike | None, split: str | None, fold: str | None) -> Manifest | None:
    """Return the chosen clips of a data set whose classes must be the model's; None without data."""
    from auricle.data.formats.registry import read_manifest
    from auricle.evaluation.evaluate import choose_clips

    if data is None:
        return None
    manifest = read_manifest(Path(data), labels=bundle.spec.labels, task=bundle.spec.task)
    return choose_clips(manifest, split=split, fold=fold)


def export_site(model: PathLike, out: PathLike, *, precision: str = "float32", tarball: PathLike | None = None) -> Site:
    """Write a static site in which a model runs inside the browser.

    Args:
        model: a folder, or the name of a built-in model.
        out: folder of the site; must be new or empty.
        precision: ``float32``, or ``int8`` where the model has it.
        tarball: the npm package of ONNX Runtime Web in the pinned version; None fetches it.

    Raises:
        UsageError: no such model or form, no network, or another package.
    """
    from auricle.exporting.web import export_site as export
    from auricle.runtime.bundle import load_bundle, resolve_model

    bundle = load_bundle(resolve_model(model))
    return export(bundle, Path(out), precision=precision, tarball=None if tarball is None else Path(tarball))


def scan(
    inputs: PathLike | Sequence[PathLike],
    *,
    command: Literal["tag", "detect", "embed"] = "tag",
    model: str | None = None,
    out: PathLike | None = None,
    format: str = "json",
    top: int | None = None,
    threshold: float | Mapping[str, float] | Thresholds | None = None,
    prior_spoof: float | None = None,
    precision: str = "float32",
    jobs: int = 1,
    timeout_s: float = 600.0,
    engine: Literal["local", "ray"] = "local",
    follow_links: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: ScanProgress | None = None,
) -> ScanResult:
    """Tag, detect or embed any number of recordings; one that fails is a result with ``error``.

    Without ``out`` nothing is computed before the result is iterated over. With it, the folder is complete on return:
    results, ``failures.jsonl``, ``summary.json``, and a journal from which an interrupted scan resumes.

    Args:
        inputs: files, folders (searched through) and globs; ``-`` is stdin.
        command: which result is wanted of each.
        model: folder or name; None is the built-in model.
        out: folder of the scan; must be new or empty, unless ``resume`` or ``overwrite``.
        format: of the results in ``out``: ``json`` or ``csv``; of ``detect`` also ``audacity`` or ``raven``.
        top: of ``tag``: labels to keep of each recording; None keeps all.
        threshold: of ``tag``: lower scores are not kept; of ``detect``: where an event begins, None is the model's.
        prior_spoof: of ``tag``: as for ``Detector.tag``.
        precision: ``float32`` or ``int8``.
        jobs: recordings at the same time; processes with ``out``.
        timeout_s: seconds that one recording may bring nothing, with ``out``.
        engine: with ``out``: ``local``, or ``ray`` for the workers of a Ray cluster.
        follow_links: also read what is linked from within a folder and lies outside it.
        resume: resume the scan in ``out``.
        overwrite: throw away the scan in ``out``.
        progress: listener.

    Returns:
        An iterable of results in the order of the listing; with ``out`` they are read from the journal.

    Raises:
        UsageError: and its kinds, for wrong use, inputs, model or folders.
    """
    from auricle.runtime.model_names import DEFAULT_MODEL
    from auricle.runtime.thresholds import Thresholds, check_labels
    from auricle.scanning.folder import ScanRequest
    from auricle.scanning.scan import ScanProgress, find_entries, scan_entries, scan_into_folder
    from auricle.scanning.task import Command, Task

    if command not in get_args(Command):
        raise UsageError(f"command {command!r} is unknown; known: {', '.join(get_args(Command))}")
    if jobs < 1:
        raise UsageError(f"jobs = {jobs}; at least 1 does the work")
    listener = ScanProgress() if progress is None else progress
    names = [os.fspath(name) for name in ([inputs] if isinstance(inputs, str | os.PathLike) else inputs)]
    thresholds = Thresholds.from_argument(threshold)
    task = Task(command, DEFAULT_MODEL if model is None else model, precision, top, thresholds, prior_spoof)

    def open_model() -> Detector:
        if model is None:
            listener.default_model()
        detector = load(task.model, precision=precision)
        check_labels(task.thresholds, detector.labels)
        detector.check_prior(prior_spoof)
        return detector

    if out is None:
        given = {"--resume": resume, "--overwrite": overwrite, "--engine ray": engine == "ray"}
        for name in (name for name, value in given.items() if value):
            raise UsageError(f"{name} is for a scan into a folder: give --out DIR too")
        entries = find_entries(names, follow_links=follow_links, notice=listener.notice)
        return scan_entries(entries, task, open_model(), jobs=jobs, progress=listener)
    if engine == "ray":
        from auricle.scale.ray_work import work_on_cluster as work
    else:
        from auricle.scanning.workers import work_in_processes as work
    request = ScanRequest(names, Path(out), task, format, jobs, timeout_s, follow_links, resume, overwrite)
    return scan_into_folder(request, open_model(), work, listener)


def sweep(
    recipe: PathLike,
    data: PathLike,
    *,
    out: PathLike,
    trials: int | None = None,
    overrides: Iterable[str] = (),
    soft: PathLike | None = None,
    data_format: str = "auto",
    sample_rate: int | None = None,
    test_fold: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Search over the choices of a recipe, comparing trials on dev clips; test clips take no part.

    Args:
        recipe: YAML file with a section ``sweep``.
        data: as for ``train``.
        out: folder of the sweep; must be new or empty, unless ``resume``.
        trials: how many in all; over the recipe's.
        overrides: ``a.b=c`` assignments over what all trials share.
        soft: CSV of a teacher's soft labels.
        data_format: form of the data; ``auto`` recognises it.
        sample_rate: of waveform arrays that do not say theirs, in Hz.
        test_fold: fold that no trial hears.
        resume: go on with the sweep in ``out``.
        progress: listener.

    Raises:
        UsageError: and its kinds, for wrong use, data, recipe or folders.
        Interrupted: after a signal, when the state has been saved.
    """
    from auricle.data.splits import without_test
    from auricle.progress import Progress as Silent
    from auricle.scale.space import read_sweep
    from auricle.scale.sweep import run_sweep
    from auricle.training.preparation import read_training_data

    search = read_sweep(Path(recipe), overrides, trials=trials)
    manifest = read_training_data(
        Path(data),
        search.recipe,
        data_format=data_format,
        sample_rate=sample_rate,
        soft=None if soft is None else Path(soft),
    )
    listener = Silent() if progress is None else progress
    return run_sweep(search, without_test(manifest, test_fold), Path(out), listener, resume=resume)


def evaluate(
    data: PathLike,
    *,
    model: str | None = None,
    split: str | None = None,
    fold: str | None = None,
    precision: str = "float32",
    scores: PathLike | None = None,
    from_scores: PathLike | None = None,
    against: PathLike | None = None,
    asv_scores: PathLike | None = None,
) -> Report:
    """Score a model on labelled recordings.

    The last four are for models that tell bona fide from spoofed speech.

    Args:
        data: of any form; its classes must be the model's.
        model: folder or name.
        split: score only this part, such as ``test``.
        fold: score only this fold.
        precision: ``float32`` or ``int8``.
        scores: write a score file of ASVspoof here.
        from_scores: report on this score file instead of scoring a model.
        against: score file of another detector of the same recordings; the report has the differences.
        asv_scores: score file of a speaker verifier; the report has the t-DCF.

    Raises:
        UsageError: no such part or fold, or classes that the model does not know.
        DataError: score files that do not fit the recordings.
    """
    from auricle.data.formats.registry import read_manifest
    from auricle.evaluation.evaluate import choose_clips, evaluate_clips
    from auricle.evaluation.spoof.evaluate import ScoreFiles, evaluate_spoof

    files = ScoreFiles(*(None if path is None else Path(path) for path in (scores, from_scores, against, asv_scores)))
    if (model is None) == (from_scores is None):
        raise UsageError("give --model, or --from-scores with a score file: scores come from one of them")
    if model is None:
        return evaluate_spoof(
            read_manifest(Path(data), labels=SPOOF_LABELS, task="single"), files, split=split, fold=fold
        )
    detector = load(model, precision=precision)
    manifest = read_manifest(Path(data), labels=detector.labels, task=detector.spec.task)
    if detector.spec.is_spoof:
        heard = detector.spec.provenance.systems
        return evaluate_spoof(manifest, files, split=split, fold=fold, detector=detector, heard=heard)
    if (option := files.first_given()) is not None:
        raise UsageError(f"{option} is for models with the labels bonafide and spoof; {model} has others")
    return evaluate_clips(detector, choose_clips(manifest, split=split, fold=fold))


def false_alarms(
    quiet: PathLike | Sequence[PathLike],
    *,
    model: str,
    threshold: float | Mapping[str, float] | None = None,
    precision: str = "float32",
) -> Report:
    """Count events in recordings that hold none of the model's classes.

    Args:
        quiet: files, folders or globs.
        model: folder or name.
        threshold: as for ``Detector.detect``.
        precision: ``float32`` or ``int8``.

    Raises:
        InputError: a recording cannot be used; a figure over the rest would hide it.
        UsageError: no recording, or no sound in them.
    """
    from auricle.audio.listing import Listing
    from auricle.evaluation.events.false_alarms import false_alarm_report
    from auricle.files import printable
    from auricle.runtime.tracker import on_thresholds

    names = [quiet] if isinstance(quiet, str | os.PathLike) else list(quiet)
    detector = load(model, precision=precision)
    results = []
    for entry in Listing([os.fspath(name) for name in names]):
        if entry.error is not None:
            raise InputError(entry.error.code, entry.error.message)
        try:
            results.append(detector.detect(entry.path, threshold=threshold))
        except InputError as error:
            raise InputError(error.code, f"{printable(entry.path)}: {error.message}") from error
    limits = dict(zip(detector.labels, on_thresholds(detector.spec, threshold), strict=True))
    try:
        return false_alarm_report(results, detector.labels, limits)
    except ValueError as error:
        raise UsageError(f"{', '.join(map(str, names))}: {error}; give recordings of some minutes") from error


def tune(
    data: PathLike,
    *,
    model: str,
    boxes: bool = False,
    split: str | None = None,
    fold: str | None = None,
) -> Report:
    """Fit how a model makes events of scores on the dev part of labelled recordings, and store it in the model.

    Where labels say when, that is the filter, hysteresis and threshold of each class, or with ``boxes`` the settings of
    boxes between change points; else filter and threshold. The model folder is replaced as a whole or not at all.

    Args:
        data: of any form, with a part ``dev``; its classes must be the model's.
        model: a folder; built-in models stay as they are.
        boxes: make boxes from now on.
        split: None or ``dev``; any other part is refused.
        fold: None; a fold is refused.

    Returns:
        The report on the dev part, tuned: too good by nature. ``details["tuned"]`` says what was fitted.

    Raises:
        UsageError: another part than dev, none, or a model that cannot be written.
    """
    from auricle.data.formats.registry import read_manifest
    from auricle.evaluation.evaluate import evaluate_clips
    from auricle.evaluation.tuning.model import dev_part, tune_detector
    from auricle.runtime.bundle import add_files, builtin_models
    from auricle.runtime.spec import PostprocessPart

    detector = load(model)
    spec = detector.spec
    if model in builtin_models() or model.startswith("hf:"):
        raise UsageError(
            f"{model} is not a folder of yours, so it is not changed; copy {detector.bundle.path} and tune that"
        )
    if spec.is_spoof:
        raise UsageError(f"{model} tells bona fide from spoofed speech: it makes no events to tune")
    manifest = dev_part(read_manifest(Path(data), labels=detector.labels, task=spec.task), split=split, fold=fold)
    post = spec.postprocess
    tuned = tune_detector(
        detector,
        manifest,
        boxes=boxes,
        min_event_s=post.min_event_s,
        off_ratio=post.off_ratio,
        max_gap_s=post.max_gap_s,
    )
    changed = PostprocessPart.model_validate({**post.model_dump(), **tuned.postprocess})
    add_files(
        detector.bundle.path,
        {},
        spec.model_copy(update={"postprocess": changed, "thresholds": dict(tuned.thresholds)}),
    )
    report = evaluate_clips(load(model), manifest)
    fitted = {"clips": tuned.clips, "strong": tuned.strong, **tuned.postprocess, "thresholds": dict(tuned.thresholds)}
    return replace(report, details={**report.details, "tuned": fitted})


def bench_train(
    data: PathLike | None = None,
    *,
    models: Iterable[str] | None = None,
    recipes: Iterable[PathLike] | None = None,
    overrides: Iterable[str] = (),
    batch_sizes: Sequence[int] | None = None,
    precisions: Sequence[str] | None = None,
    steps: int = 10,
    warm_up: int = 3,
    data_format: str = "auto",
    notice: Callable[[str], None] = lambda text: None,
) -> TrainingBench:
    """Time some steps of training, recipe beside recipe.

    Args:
        data: labelled recordings; noise if None.
        models: networks with their defaults.
        recipes: YAML files.
        overrides: ``a.b=c`` assignments over all of them.
        batch_sizes: crops a step, each in turn; slow recipes take the first only. None takes the recipe's.
        precisions: of ``run.precision``, each in turn. None takes the recipe's.
        steps: to time.
        warm_up: steps before them.
        data_format: form of the data; ``auto`` recognises it.
        notice: is told what is being measured.

    Raises:
        UsageError: neither networks nor recipes, or one that is unknown.
        DataError: fewer clips than a batch.
    """
    from auricle.training.bench import bench_recipes
    from auricle.training.run import make_request_recipe

    overrides = list(overrides)
    chosen = {name: make_request_recipe(name, None, overrides, None) for name in models} if models else {}
    for file in [] if recipes is None else recipes:
        chosen[Path(file).stem] = make_request_recipe("crnn", Path(file), overrides, None)
    if not chosen:
        raise UsageError("nothing to measure: give --model NAME or --recipe FILE, such as --model rawnet")
    return bench_recipes(
        chosen,
        data=None if data is None else Path(data),
        data_format=data_format,
        batch_sizes=batch_sizes,
        precisions=precisions,
        steps=steps,
        warm_up=warm_up,
        notice=notice,
    )
