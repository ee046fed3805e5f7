# SPDX-License-Identifier: Apache-2.0
"""``auricle data synth CLIPS``: a data set of soundscapes in the format ``desed``, out of isolated clips.

    audio/train_0000.flac ...   the scenes, 16 bits
    events.tsv, durations.tsv   what is audible and when; how long each scene is
    scenes.csv                  the part of each scene, and the clips in it
    scenes.jsonl                all that was done to make each scene
    synth.json                  rules, clips and data hash; written last, so that it marks a whole set

No recording, and no group of recordings, is in the scenes of two parts. Equal seeds give equal bytes, whatever the
number of processes.
"""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from auricle.cells import escape_cell
from auricle.data.clip_audio import read_clip
from auricle.data.formats.desed_tables import DURATIONS_FILE, EVENTS_FILE, plain_seconds, write_events, write_table
from auricle.data.labels import SPLIT_ALIASES, natural_key
from auricle.data.manifest import Clip, Manifest
from auricle.data.problems import Problems
from auricle.data.splits import check_leaks
from auricle.errors import InputError, UsageError
from auricle.files import atomic_write, write_json
from auricle.output_folder import OutputFolder
from auricle.registry import nearest
from auricle.results import Failure, FloatArray, failure_rows, rounded
from auricle.synth.activity import RegionRule, active_regions
from auricle.synth.scenes import ScenePlan, SceneRules, SceneSource, draw_scene, render_scene

AUDIO_FOLDER, SCENES_TABLE, SCENES_FILE, SYNTH_FILE = "audio", "scenes.csv", "scenes.jsonl", "synth.json"
_Job = TypeVar("_Job")
_Made = TypeVar("_Made")
#: Decoded clips that a process keeps.
_KEPT_CLIPS = 256
#: Scenes handed to a process at once.
_CHUNK = 8


@dataclass(frozen=True)
class ScenePart:
    """A part of the set that is made.

    Attributes:
        name: what the scenes are called; ``train``, ``dev`` and ``test`` are parts for training, too.
        chosen: names of folds, or of parts of the clips, that its scenes are made of; empty takes all clips.
        count: number of scenes.
    """

    name: str
    chosen: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class SynthReport:
    """What was made.

    Attributes:
        path: the folder.
        scenes: scenes by part.
        events: events by part, backgrounds included.
        failures: key of each clip that could not be used, with the reason.
    """

    path: str
    scenes: Mapping[str, int]
    events: Mapping[str, int]
    failures: Mapping[str, Failure] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle data synth``."""
        return {
            "path": self.path,
            "scenes": dict(self.scenes),
            "events": dict(self.events),
            "failures": failure_rows(self.failures),
        }


def parse_part(text: str) -> ScenePart:
    """Read ``NAME=FOLDS:COUNT``, such as ``train=1,2,3:1000``; raises ``UsageError``.

    >>> parse_part("train=1,2,3:1000")
    ScenePart(name='train', chosen=('1', '2', '3'), count=1000)
    """
    name, equals, rest = text.partition("=")
    chosen, colon, count = rest.rpartition(":")
    names = tuple(part.strip() for part in chosen.split(",") if part.strip())
    if not (equals and colon and name.isidentifier() and names and count.isdecimal() and int(count) > 0):
        raise UsageError(f"--part {text}: expected NAME=FOLDS:COUNT, such as train=1,2,3:1000")
    return ScenePart(name, names, int(count))


@dataclass(frozen=True)
class _Task:
    """All that a process needs to make scenes."""

    clips: tuple[Clip, ...]
    sources: Mapping[str, tuple[SceneSource, ...]]
    rules: SceneRules
    audio: Path


_clips_read: OrderedDict[tuple[str, float, float | None, int], FloatArray] = OrderedDict()


def _read(clip: Clip, sample_rate: int) -> FloatArray:
    """Return a clip at a rate, from memory if it was read lately."""
    key = (clip.path, *clip.segment[1:], sample_rate)
    if key not in _clips_read:
        _clips_read[key] = read_clip(clip, sample_rate=sample_rate).samples
        if len(_clips_read) > _KEPT_CLIPS:
            _clips_read.popitem(last=False)
    _clips_read.move_to_end(key)
    return _clips_read[key]


def _find_regions(clip: Clip, sample_rate: int) -> tuple[tuple[int, int], ...] | Failure:
    """Return where a clip sounds, or why it cannot be used."""
    try:
        regions = tuple(active_regions(_read(clip, sample_rate), sample_rate, RegionRule()))
    except InputError as error:
        return Failure(error.code, error.message)
    return regions if regions else Failure("no_audio", f"{clip.key}: nothing in it sounds for long enough")


def _make(task: _Task, job: tuple[str, int]) -> tuple[str, ScenePlan]:
    """Make one scene and write it; returns its name and its plan."""
    part, number = job
    plan = draw_scene(task.sources[part], task.rules, part, number)
    samples = render_scene(plan, task.rules, lambda i: _read(task.clips[i], task.rules.sample_rate))
    name = scene_name(part, number)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, task.rules.sample_rate, format="FLAC", subtype="PCM_16")
    atomic_write(task.audio / name, buffer.getvalue())
    return f"{AUDIO_FOLDER}/{name}", plan


def scene_name(part: str, number: int) -> str:
    """Return the name of a scene's file.

    >>> scene_name("train", 7)
    'train_0007.flac'
    """
    return f"{part}_{number:04d}.flac"


def make_soundscapes(
    manifest: Manifest,
    out_dir: str | Path,
    parts: Sequence[ScenePart],
    rules: SceneRules,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> SynthReport:
    """Write soundscapes made of the clips of a data set.

    Args:
        manifest: isolated clips; those with one class are used.
        out_dir: a new or empty folder.
        parts: what to make; their clips must not share a group.
        rules: how scenes are made.
        jobs: processes.
        progress: called with (done, total) as scenes are made.

    Raises:
        RunError: the folder is not empty.
        UsageError: a fold, part or background that the clips do not have; parts of one name.
        DataError: a group of clips in two parts, or a part without a clip that can be an event.
    """
    chosen = _choose(manifest, parts, rules)
    out = Path(out_dir)
    OutputFolder(out).require_new()
    (out / AUDIO_FOLDER).mkdir(parents=True, exist_ok=True)
    with closing(_Pool(jobs)) as pool:
        sources, failures = _find_sources(manifest, chosen, rules, pool)
        task = _Task(manifest.clips, sources, rules, out / AUDIO_FOLDER)
        work = [(part.name, number) for part in parts for number in range(part.count)]
        made: dict[str, ScenePlan] = {}
        for name, plan in pool.map(partial(_make, task), work):
            made[name] = plan
            if progress is not None:
                progress(len(made), len(work))
    names = dict(zip(made, (part for part, _ in work), strict=True))
    _write_tables(out, made, names, manifest, rules)
    _write_description(out, manifest, parts, rules)
    events = {part.name: sum(len(made[n].truth(rules)) for n, p in names.items() if p == part.name) for part in parts}
    return SynthReport(str(out), {part.name: part.count for part in parts}, events, failures)


class _Pool:
    """Processes, or none for one job; results come in the order of the work."""

    def __init__(self, jobs: int) -> None:
        self._executor = ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else None

    def map(self, function: Callable[[_Job], _Made], work: Sequence[_Job]) -> Iterator[_Made]:
        if self._executor is None:
            return map(function, work)
        return self._executor.map(function, work, chunksize=_CHUNK)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


def _choose(manifest: Manifest, parts: Sequence[ScenePart], rules: SceneRules) -> dict[str, list[int]]:
    """Return the clips of each part, after checking that the parts share no group."""
    names = [part.name for part in parts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"part {twice[0]!r} was asked for twice; name each part once")
    for label in rules.backgrounds:
        if label not in manifest.labels:
            hint = f"{nearest(label, manifest.labels)}; known: {', '.join(manifest.labels)}"
            raise UsageError(f"background {label!r} is no class of the clips{hint}")
    known = {c.fold for c in manifest.clips if c.fold} | {c.split for c in manifest.clips if c.split}
    chosen: dict[str, list[int]] = {}
    for part in parts:
        wanted = {SPLIT_ALIASES.get(name.casefold(), name) if name not in known else name for name in part.chosen}
        for name in sorted(wanted - known):
            listed = (
                ", ".join(sorted(known, key=natural_key)) if known else "none: the clips have no folds and no parts"
            )
            raise UsageError(f"part {part.name}: the clips have no fold or part {name!r}; known: {listed}")
        chosen[part.name] = [
            i for i, clip in enumerate(manifest.clips)
            if len(clip.label) == 1 and (not wanted or clip.fold in wanted or clip.split in wanted)
        ]  # fmt: skip
    check_leaks(manifest, {name: np.array(indices, np.int64) for name, indices in chosen.items()})
    return chosen


def _find_sources(
    manifest: Manifest, chosen: Mapping[str, Sequence[int]], rules: SceneRules, pool: _Pool
) -> tuple[dict[str, tuple[SceneSource, ...]], dict[str, Failure]]:
    """Return the clips of each part with where they sound, and those that cannot be used."""
    used = sorted({i for indices in chosen.values() for i in indices})
    clips = [manifest.clips[i] for i in used]
    found = dict(zip(used, pool.map(partial(_find_regions, sample_rate=rules.sample_rate), clips), strict=True))
    failures = {manifest.clips[i].key: f for i, f in found.items() if isinstance(f, Failure)}
    sources, problems = {}, Problems()
    for part, indices in chosen.items():
        sources[part] = tuple(
            SceneSource(i, manifest.clips[i].label[0], regions)
            for i in indices if not isinstance(regions := found[i], Failure)
        )  # fmt: skip
        if all(source.label in rules.backgrounds for source in sources[part]):
            reason = f"; first: {next(iter(failures.values())).message}" if failures else ""
            problems.add("empty", f"part {part}: no clip with one class that is no background can be used{reason}")
    problems.stop_if_any(f"no scenes can be made of {manifest.root}")
    return sources, failures


def _write_tables(
    out: Path, made: Mapping[str, ScenePlan], parts: Mapping[str, str], manifest: Manifest, rules: SceneRules
) -> None:
    write_events(out / EVENTS_FILE, {name: plan.truth(rules) for name, plan in made.items()})
    write_table(out / DURATIONS_FILE, ("filename", "duration"), ((n, plain_seconds(rules.scene_s)) for n in made))
    all_known = all(part in SPLIT_ALIASES for part in parts.values())
    rows = [f"filename,{'split' if all_known else 'part'},sources"]
    for name, plan in made.items():
        keys = ";".join(manifest.clips[i].key for i in plan.sources())
        rows.append(f"{name},{parts[name]},{_quoted(escape_cell(keys))}")
    atomic_write(out / SCENES_TABLE, ("\n".join(rows) + "\n").encode())
    lines = (json.dumps(_provenance(name, parts[name], plan, manifest, rules)) for name, plan in made.items())
    atomic_write(out / SCENES_FILE, ("\n".join(lines) + "\n").encode())


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell


def _provenance(name: str, part: str, plan: ScenePlan, manifest: Manifest, rules: SceneRules) -> dict[str, Any]:
    """Return what was done to make a scene, ready for JSON; times in seconds."""
    rate = rules.sample_rate
    behind = plan.background
    return {
        "filename": name,
        "part": part,
        "background": None if behind is None else {"label": behind.label, "source": manifest.clips[behind.number].key},
        "background_db": rounded(plan.background_db),
        "noise": None if behind is not None else {"exponent": rounded(plan.noise[0]), "seed": plan.noise[1]},
        "room": None if plan.room is None else dict(zip(("decay_s", "direct_db", "seed"), plan.room, strict=True)),
        "events": [
            {
                "label": e.source.label,
                "onset": rounded(e.onset / rate),
                "offset": rounded(e.end / rate),
                "snr_db": rounded(e.snr_db),
                "source": manifest.clips[e.source.number].key,
                "source_onset": rounded(e.begin / rate),
            }
            for e in plan.events
        ],
    }


def _write_description(out: Path, manifest: Manifest, parts: Sequence[ScenePart], rules: SceneRules) -> None:
    description = {
        "data": manifest.name,
        "data_hash": manifest.data_hash,
        "parts": {part.name: {"of": list(part.chosen), "scenes": part.count} for part in parts},
        "rules": rules.to_dict(),
        "regions": asdict(RegionRule()),
    }
    write_json(out / SYNTH_FILE, description)
