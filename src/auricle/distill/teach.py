# SPDX-License-Identifier: Apache-2.0
"""``auricle teach``: a teacher labels recordings and mixtures, shard by shard, into a folder of soft labels.

A shard is a function of its items, so the folder has the same bytes however often the run was killed on its way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auricle.batches.cache import WaveformCache, default_cache_dir
from auricle.batches.crops import ClipReader
from auricle.data.clip_audio import read_clip
from auricle.data.labels import natural_key
from auricle.data.manifest import ArraySpec, Clip
from auricle.distill.sources import Sources, read_sources
from auricle.distill.stage_head import fit_stage_head
from auricle.distill.store import (
    LABELS_FILE,
    Shard,
    SoftStore,
    StoreIndex,
    is_store,
    item_key,
    open_store,
    read_shard_facts,
    write_index,
    write_shard,
    write_soft_csv,
)
from auricle.errors import DataError, InputError, RunError, UsageError
from auricle.files import FolderLock, read_json, sha256_bytes, write_json
from auricle.output_folder import OutputFolder
from auricle.progress import Progress
from auricle.recipe.requests import TeachRequest
from auricle.results import FloatArray, rounded
from auricle.runtime.windows import cut_windows
from auricle.synth.mixtures import MixRules, MixtureSources
from auricle.teachers.heads import fit_head
from auricle.teachers.label_map import read_label_map, same_names
from auricle.teachers.registry import open_stages, open_teacher
from auricle.teachers.stages import TEACHER_FILE, StageTeacher, save_teacher
from auricle.teachers.teacher import Answer, Teacher
from auricle.timeline import seconds_to_samples

PLAN_FILE = "plan.json"
#: Items of a shard: what a kill costs at most.
SHARD_ITEMS = 32
WINDOWS_AT_ONCE = 8
#: Length of a student's crop where nobody says another: the recipe's default.
CROP_S = 5.0
#: A rest of a recording shorter than this share of a window brings no window of its own.
SLACK = 0.1


@dataclass(frozen=True)
class TeachResult:
    """What a teacher left behind.

    Attributes:
        path: the folder.
        recordings: how many were labelled.
        mixtures: how many were made and labelled.
        labels: how many classes the labels have.
        failures: key of each recording that could not be read, with the reason.
    """

    path: str
    recordings: int
    mixtures: int
    labels: int
    failures: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle teach``."""
        failures = [{"path": key, "error": reason} for key, reason in self.failures.items()]
        return {
            "path": self.path,
            "recordings": self.recordings,
            "mixtures": self.mixtures,
            "labels": self.labels,
            "failures": failures,
        }


#: Carries out work elsewhere: opens it there, and yields index and value of every piece. ``scale.ray_work`` has one.
Spread = Callable[
    [Callable[[], Callable[[int], dict[str, Any]]], Iterator[tuple[int, int]]], Iterator[tuple[int, dict[str, Any]]]
]


def run_teaching(request: TeachRequest, progress: Progress, spread: Spread | None = None) -> TeachResult:
    """Label everything that is asked for, or resume it.

    Args:
        request: what is asked.
        progress: is called.
        spread: makes the shards elsewhere, where teacher and recordings have the same paths; None makes them here.

    Raises:
        UsageError: and its kinds: no such teacher, wrong data, a folder that is not empty or of another run.
    """
    sources = _sources(request)
    _check_fit(request, sources)
    teacher = _open_teacher(request)
    index = _make_index(request, teacher, sources)
    for line in _describe(index, sources):
        progress.notice(line)
    with FolderLock(request.folder):
        _acquire_output(request, _plan(index, sources))
        if request.resume and is_store(request.folder):
            progress.notice(f"{request.folder} is finished; nothing to do")
            store = open_store(request.folder)
        else:
            job = LabellingJob(request, teacher, sources, index)
            store = _label_all(job, progress, spread)
            _write_tables(request, teacher, store, sources, progress)
    failures = {row.key: row.error for row in store.rows if row.error}
    classes = len(store.index.labels) if store.index.map is None else len(store.index.map)
    count = 0 if index.mixtures is None else index.mixtures.count
    return TeachResult(str(request.folder), len(store.rows) - len(failures), count, classes, failures)


def _open_teacher(request: TeachRequest) -> Teacher:
    if request.stages is None:
        return open_teacher(request.teacher, download=request.download, bf16=request.bf16)
    if request.bf16:
        raise UsageError("--stages computes in float32: leave --bf16 out")
    return open_stages(request.teacher, request.stages)


def _sources(request: TeachRequest) -> Sources:
    """Return what there is to be labelled."""
    pool = None if request.pool is None else Path(request.pool)
    return read_sources(request.source, pool, unlabelled=request.unlabelled, leave_out=tuple(request.leave_out))


def _check_fit(request: TeachRequest, sources: Sources) -> None:
    if request.fit and sources.manifest is None:
        raise UsageError("--fit needs labelled recordings to fit a head on; leave --unlabelled out, or leave --fit out")
    if request.fit and request.label_map is not None:
        raise UsageError("--fit learns the user's classes and --map translates them: give one of them")
    if request.fit and not request.embeddings:
        raise UsageError("--fit fits a head on the embeddings; leave --no-embeddings out")


def _make_index(request: TeachRequest, teacher: Teacher, sources: Sources) -> StoreIndex:
    """Return what the store will say of itself, without its shards."""
    if request.window_s > teacher.window_s:
        raise UsageError(
            f"--window {request.window_s:g}: teacher {teacher.name} takes at most {teacher.window_s:g} s at once"
        )
    hop_s = request.window_s if request.hop_s is None else request.hop_s
    if not 0 < hop_s <= request.window_s:
        raise UsageError(f"--hop {hop_s:g}: expected more than 0 and at most the window, {request.window_s:g} s")
    label_map = None
    if request.label_map is not None:
        label_map = read_label_map(Path(request.label_map), teacher.labels)
    elif sources.manifest is not None and not request.fit:
        label_map = same_names(sources.manifest.labels, teacher.labels)
    return StoreIndex(
        teacher=teacher.name,
        identity=teacher.identity,
        labels=teacher.labels,
        window_s=request.window_s,
        hop_s=hop_s,
        embedding_size=teacher.embedding_size if request.embeddings else 0,
        items=len(sources.clips) + request.mixtures,
        pool=sources.pool,
        pool_root=None if sources.root is None else str(sources.root.resolve()),
        mixtures=MixRules(request.mixtures, request.seed, _clip_s(request)) if request.mixtures else None,
        parts=sources.parts,
        map=label_map,
        pad=request.pad,
        stages=teacher.stages if isinstance(teacher, StageTeacher) else (),
    )


def _clip_s(request: TeachRequest) -> float:
    """Return the length of a mixture: what was asked for, or the whole number of windows nearest to a crop of 5 s."""
    if request.mixture_s is None:
        return max(1, round(CROP_S / request.window_s)) * request.window_s
    if request.mixture_s < request.window_s:
        raise UsageError(f"--mixture-length {request.mixture_s:g} is shorter than a window of {request.window_s:g} s")
    return request.mixture_s


def _describe(index: StoreIndex, sources: Sources) -> Iterator[str]:
    """Yield what will be done, and the label map as a table."""
    count = 0 if index.mixtures is None else index.mixtures.count
    yield (
        f"teacher {index.teacher}: {len(index.labels)} classes, windows of {index.window_s:g} s every "
        f"{index.hop_s:g} s; {len(sources.clips) - sources.pool} recordings, {sources.pool} of a pool, {count} mixtures"
    )
    if index.map is not None:
        width = max(map(len, index.map))
        for label, names in index.map.items():
            yield f"  {label:<{width}}  <-  {' | '.join(names)}"


def _plan(index: StoreIndex, sources: Sources) -> dict[str, Any]:
    """Return what must be the same when a run continues."""
    listed = "\n".join(f"{c.key} {c.onset} {c.offset} {c.size_bytes}" for c in sources.clips)
    values = index.to_dict()
    for key in ("labels", "parts", "shards"):
        values.pop(key)
    return {**values, "recordings": sha256_bytes(listed.encode("utf-8", "surrogateescape"))}


def _acquire_output(request: TeachRequest, plan: dict[str, Any]) -> None:
    """Take the output folder, or say why not."""
    out, path = request.folder, request.folder / PLAN_FILE
    folder = OutputFolder(out, "soft labels")
    folder.require_own(path.is_file(), resume=request.resume, overwrite=request.overwrite)
    if request.overwrite:
        for found in (out / name for name in folder.names()):
            shutil.rmtree(found) if found.is_dir() and not found.is_symlink() else found.unlink()
    if path.is_file():
        stored = read_json(path)
        changed = sorted(key for key in {*plan, *stored} if plan.get(key) != stored.get(key))
        if changed:
            raise RunError(
                f"{out} cannot continue: it was started with another {', '.join(changed)}; give the same command, "
                "or start anew with --overwrite or in another folder"
            )
    else:
        write_json(path, plan)


@dataclass
class LabellingJob:
    """Makes shards: those of the recordings first, then those of the mixtures. Each is a function of its number.

    Attributes:
        request: what was asked.
        teacher: scores.
        sources: what is there to be labelled.
        index: of the store.
    """

    request: TeachRequest
    teacher: Teacher
    sources: Sources
    index: StoreIndex
    _mixed: MixtureSources | None = field(default=None, init=False)
    _reader: ClipReader | None = field(default=None, init=False)

    @property
    def of_recordings(self) -> range:
        """Numbers of the shards of recordings."""
        return range(-(-len(self.sources.clips) // SHARD_ITEMS))

    @property
    def of_mixtures(self) -> range:
        """Numbers of the shards of mixtures."""
        first, count = len(self.of_recordings), 0 if self.index.mixtures is None else self.index.mixtures.count
        return range(first, first + -(-count // SHARD_ITEMS))

    def items(self, number: int) -> range:
        """Return which recordings, or which mixtures, a shard holds."""
        start = (number if number in self.of_recordings else number - len(self.of_recordings)) * SHARD_ITEMS
        mixtures = 0 if self.index.mixtures is None else self.index.mixtures.count
        return range(
            start, min(start + SHARD_ITEMS, len(self.sources.clips) if number in self.of_recordings else mixtures)
        )

    def make(self, number: int) -> dict[str, Any]:
        """Score the items of a shard and write it; returns its facts. Mixtures wait for the recordings' shards."""
        items = self.items(number)
        if number in self.of_recordings:
            arrays = None if self.sources.manifest is None else self.sources.manifest.arrays
            shard = _label_clips(self.teacher, self.sources.clips[items.start : items.stop], arrays, self.index)
        else:
            mixed, rate = self._mixtures(), self.teacher.sample_rate
            if self._reader is None:
                self._reader = _cached_reader(self.sources, rate)
            made = [_cut(mixed.make(mixed.draw(i), self._reader.read, rate), rate, self.index) for i in items]
            shard = _score(self.teacher, made, [mixed.rules.clip_s] * len(made), index=self.index)
        return write_shard(self.request.folder, number, shard)

    def _mixtures(self) -> MixtureSources:
        """Return what mixtures are made of: the recordings that could be read, by the shards that are on the disk."""
        rules = self.index.mixtures
        if self._mixed is None and rules is not None:
            facts = [_facts(self.request.folder, number) for number in self.of_recordings]
            usable = [i for i, count in enumerate(n for f in facts for n in f["windows"]) if count]
            self._mixed = _mixture_sources(self.sources, usable, rules)
        if self._mixed is None:
            raise ValueError("no mixtures were asked for")
        return self._mixed


def open_labelling_job(request: TeachRequest, index: StoreIndex) -> Callable[[int], dict[str, Any]]:
    """Open teacher and sources once more, in another process, and return what makes shards there.

    Raises:
        RunError: if this machine finds something else.
    """
    sources = _sources(request)
    teacher = _open_teacher(replace(request, download=False))
    if _plan(_make_index(request, teacher, sources), sources) != _plan(index, sources):
        raise RunError(
            f"another machine finds another teacher or other recordings under {request.audio}; all must see the same"
        )
    return LabellingJob(request, teacher, sources, index).make


def _facts(out: Path, number: int) -> dict[str, Any]:
    """Return the facts of a shard that has been made."""
    found = read_shard_facts(out, number)
    if found is None:
        raise RunError(f"shard {number} of {out} has gone; continue with --resume")
    return found


def _label_all(job: LabellingJob, progress: Progress, spread: Spread | None) -> SoftStore:
    """Make every shard that is not there yet, recordings first, and write the index."""
    request, index = job.request, job.index
    progress.preparing(index.items)
    labelled = _shards(job, job.of_recordings, progress, spread)
    if not any(count for f in labelled for count in f["windows"]):
        first = next(e for f in labelled for e in f["errors"])
        raise DataError(f"not one recording of {request.audio} can be read", [first])
    mixed = _shards(job, job.of_mixtures, progress, spread)
    return write_index(request.folder, index, [item_key(clip) for clip in job.sources.clips], [*labelled, *mixed])


def _shards(job: LabellingJob, numbers: range, progress: Progress, spread: Spread | None) -> list[dict[str, Any]]:
    """Return the facts of some shards, in order, after making those that are missing."""
    there = {number: read_shard_facts(job.request.folder, number) for number in numbers}
    facts = {number: found for number, found in there.items() if found is not None}
    missing = [number for number in numbers if number not in facts]

    def prepared(number: int) -> None:
        for _ in job.items(number):
            progress.file_prepared()

    for number in facts:
        prepared(number)
    made: Iterator[tuple[int, dict[str, Any]]] = ((number, job.make(number)) for number in missing)
    if spread is not None and missing:
        made = spread(partial(open_labelling_job, job.request, job.index), ((n, n) for n in missing))
    for number, found in made:
        facts[number] = found
        prepared(number)
    return [facts[number] for number in numbers]


def _label_clips(teacher: Teacher, clips: Sequence[Clip], arrays: ArraySpec | None, index: StoreIndex) -> Shard:
    """Decode, cut and score some recordings."""
    windows: list[FloatArray] = []
    seconds, errors = [], []
    for clip in clips:
        try:
            audio = read_clip(clip, arrays, sample_rate=teacher.sample_rate)
            windows.append(_cut(audio.samples, teacher.sample_rate, index))
            seconds.append(rounded(audio.duration))
            errors.append("")
        except InputError as error:
            windows.append(np.zeros((0, 0), np.float32))
            seconds.append(0.0)
            errors.append(f"{error.code}: {error.message}")
    return _score(teacher, windows, seconds, errors, index=index)


def _cut(samples: FloatArray, sample_rate: int, index: StoreIndex) -> FloatArray:
    window, hop = (seconds_to_samples(s, sample_rate) for s in (index.window_s, index.hop_s))
    return cut_windows(np.asarray(samples), window, hop, index.pad, int(SLACK * window))


def _score(
    teacher: Teacher,
    windows: Sequence[FloatArray],
    seconds: Sequence[float],
    errors: Sequence[str] = (),
    *,
    index: StoreIndex,
) -> Shard:
    """Score the windows of some items, a few at once."""
    labelled = [w for w in windows if len(w)]
    stacked = np.concatenate(labelled) if labelled else np.zeros((0, 0), np.float32)
    answers: list[Answer] = [
        teacher.score(stacked[start : start + WINDOWS_AT_ONCE]) for start in range(0, len(stacked), WINDOWS_AT_ONCE)
    ]
    empty = np.zeros((0, len(index.labels)), np.float32)
    scores = np.concatenate([empty, *(a.scores for a in answers)])
    embedding = None
    if index.embedding_size:
        none = np.zeros((0, index.embedding_size), np.float32)
        embedding = np.concatenate([none, *(a.embedding for a in answers if a.embedding is not None)])
    reasons = tuple(errors) if errors else ("",) * len(windows)
    return Shard(tuple(map(len, windows)), tuple(seconds), reasons, scores, embedding)


def _mixture_sources(sources: Sources, usable: Sequence[int], rules: MixRules) -> MixtureSources:
    """Return what mixtures are made of: the recordings that could be read."""
    labelled = len(sources.clips) - sources.pool
    parts = tuple(sources.parts[i] for i in usable if i < labelled)
    return MixtureSources(rules, tuple(sources.clips[i] for i in usable), parts)


def _cached_reader(sources: Sources, sample_rate: int) -> ClipReader:
    """Return a reader at the teacher's rate whose recordings are decoded once: mixtures take each many times."""
    arrays = None if sources.manifest is None else sources.manifest.arrays
    cache = WaveformCache(default_cache_dir(), sample_rate)
    cache.prepare([clip.path for clip in sources.clips if not clip.is_array])
    return ClipReader(cache, arrays, sample_rate, float(sample_rate))


def _write_tables(
    request: TeachRequest, teacher: Teacher, store: SoftStore, sources: Sources, progress: Progress
) -> None:
    """Write the seed's table of the data's own recordings, or with ``fit`` one for each fold left out.

    A head on statistics of stages is kept beside it, fitted on all labelled recordings, as a teacher.
    """
    own = store.rows if request.unlabelled else store.rows[: len(store.rows) - store.index.pool]
    rows = [row for row in own if row.windows]
    keys = [row.key for row in rows]
    manifest = sources.manifest
    if request.fit and manifest is not None:
        at = {item_key(clip): i for i, clip in enumerate(manifest.clips)}
        chosen = manifest.select([at[key] for key in keys])
        vectors = np.stack([clip_mean(store.embeddings, row.first_window, row.windows) for row in rows])
        targets = chosen.targets()
        for fold in [None, *sorted({c.fold for c in chosen.clips if c.fold is not None}, key=natural_key)]:
            labelled = np.array([c.fold != fold or fold is None for c in chosen.clips])
            if fold is None and chosen.folds:
                continue
            if isinstance(teacher, StageTeacher):
                part = chosen.select(np.flatnonzero(labelled))
                head, penalty = fit_stage_head(vectors[labelled], targets[labelled], part, manifest.task)
                progress.notice(
                    f"{len(part)} recordings fit a head on {vectors.shape[1]} statistics, penalty {penalty:g}"
                )
            else:
                head = fit_head(vectors[labelled], targets[labelled], manifest.task)
            name = LABELS_FILE if fold is None else f"labels-without-fold-{fold}.csv"
            write_soft_csv(request.folder / name, keys, manifest.labels, head(vectors))
        if isinstance(teacher, StageTeacher):
            head, _ = fit_stage_head(vectors, targets, chosen, manifest.task)
            save_teacher(
                StageTeacher(teacher.staged, teacher.stages, head, manifest.labels), request.folder / TEACHER_FILE
            )
        return
    single = manifest is not None and manifest.task == "single" and store.index.map is not None
    values = []
    for row in rows:
        scores = np.asarray(store.scores[row.first_window : row.first_window + row.windows], np.float32)
        values.append(store.class_scores(scores.max(0))[1])
    table = np.stack(values)
    if single:
        progress.notice("one class a clip: the mapped scores in labels.csv are divided by their sum")
        table = table / np.maximum(table.sum(1, keepdims=True), 1e-9)
    labels = store.class_scores(store.scores[:1])[0]
    write_soft_csv(request.folder / LABELS_FILE, keys, labels, table)


def clip_mean(values: FloatArray, first: int, count: int) -> FloatArray:
    """Return the mean over the windows of an item, float32."""
    mean: FloatArray = np.asarray(values[first : first + count], np.float32).mean(0)
    return mean
