# SPDX-License-Identifier: Apache-2.0
"""Looking at the recordings of a data set: their headers, or all of their samples."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np

from auricle.data.arrays import load_array
from auricle.data.clip_audio import SEGMENT_TOLERANCE_S, Facts, probe_clip, read_clip
from auricle.data.manifest import ArraySpec, Clip, Manifest
from auricle.data.problems import Problems
from auricle.errors import InputError
from auricle.results import Flag

#: Headers opened at most; a larger data set is sampled.
MAX_PROBED = 5_000


@dataclass
class Findings:
    """What the recordings of a data set have shown.

    Attributes:
        durations: seconds of each clip that could be measured.
        rates: clips by sample rate in Hz.
        rates_by_folder: the same for each folder.
        formats: clips by container and codec.
        flags: for each flag code, how often and the first file.
        failures: for each failure code, how often, the first file and its message.
        problems: segments that cannot be.
        sampled: how many clips were looked at.
        same_audio: groups of paths whose samples are equal; only known when everything was decoded.
    """

    durations: list[float] = field(default_factory=list)
    rates: Counter[int] = field(default_factory=Counter)
    rates_by_folder: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    formats: Counter[str] = field(default_factory=Counter)
    flags: dict[str, tuple[int, str]] = field(default_factory=dict)
    failures: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    sampled: int = 0
    same_audio: list[tuple[str, ...]] = field(default_factory=list)

    def note_flag(self, flag: Flag, key: str) -> None:
        """Count a flag and keep the first file that had it."""
        count, first = self.flags.get(flag.code, (0, key))
        self.flags[flag.code] = (count + 1, first)

    def note_failure(self, error: InputError, key: str) -> None:
        """Count a failure and keep the first file that had it."""
        count, first, message = self.failures.get(error.code, (0, key, error.message))
        self.failures[error.code] = (count + 1, first, message)

    def note_facts(self, clip: Clip, facts: Facts) -> None:
        """Add what a header says about a clip."""
        if facts.sample_rate is not None:
            self.rates[facts.sample_rate] += 1
            self.rates_by_folder[str(PurePosixPath(clip.key).parent)][facts.sample_rate] += 1
        self.formats[facts.format] += 1
        for flag in facts.flags:
            self.note_flag(flag, clip.key)
        self._note_segment(clip, facts.duration)

    def _note_segment(self, clip: Clip, duration: float | None) -> None:
        """Add the length of a clip; a segment that begins after its file's end is a problem, one cut by it a flag."""
        onset = 0.0 if clip.onset is None else clip.onset
        if duration is None:
            if clip.offset is not None:
                self.durations.append(clip.offset - onset)
            return
        if onset >= duration:
            self.problems.add("segment", f"{clip.key}: onset {onset:g} s is beyond the end at {duration:g} s")
            return
        self._note_events(clip, duration)
        end = duration if clip.offset is None else clip.offset
        if end > duration + SEGMENT_TOLERANCE_S:
            self.note_flag(Flag("clipped_event"), clip.key)
        self.durations.append(min(end, duration) - onset)

    def _note_events(self, clip: Clip, duration: float) -> None:
        """Compare events with the length of their file: one that begins after its end is a problem, a late end a flag.

        An end that the data itself declared was held against them when it was read.
        """
        for event in clip.events or ():
            if event.onset >= duration:
                text = f"{clip.key}: event {event.label!r} begins at {event.onset:g} s, the file ends at {duration:g} s"
                self.problems.add("event", text)
            elif event.offset > duration + SEGMENT_TOLERANCE_S:
                self.note_flag(Flag("clipped_event"), clip.key)


def choose_clips(manifest: Manifest, limit: int, seed: int = 0) -> list[Clip]:
    """Return all clips, or ``limit`` of them drawn with a seed, in their order."""
    if len(manifest) <= limit:
        return list(manifest.clips)
    drawn = np.random.default_rng(seed).choice(len(manifest), limit, replace=False)
    return [manifest.clips[i] for i in np.sort(drawn)]


def inspect_headers(
    manifest: Manifest, *, limit: int = MAX_PROBED, progress: Callable[[int, int], None] | None = None
) -> Findings:
    """Open the header of each recording (or of a sample of them) and return what they say."""
    findings = Findings()
    clips = choose_clips(manifest, limit)
    for i, clip in enumerate(clips):
        try:
            findings.note_facts(clip, probe_clip(clip, manifest.arrays))
        except InputError as error:
            findings.note_failure(error, clip.key)
        if progress is not None:
            progress(i + 1, len(clips))
    findings.sampled = len(clips)
    return findings


def inspect_samples(manifest: Manifest, *, progress: Callable[[int, int], None] | None = None) -> Findings:
    """Decode every clip and return what headers and samples say, and which files sound exactly alike."""
    findings = Findings()
    by_sound: dict[bytes, set[str]] = defaultdict(set)
    for i, clip in enumerate(manifest.clips):
        try:
            sound = _decode(findings, clip, manifest.arrays)
            if sound is not None:
                by_sound[sound].add(clip.path)
        except InputError as error:
            findings.note_failure(error, clip.key)
        if progress is not None:
            progress(i + 1, len(manifest))
    findings.sampled = len(manifest)
    findings.same_audio = [tuple(sorted(paths)) for paths in by_sound.values() if len(paths) > 1]
    return findings


def _decode(findings: Findings, clip: Clip, arrays: ArraySpec | None) -> bytes | None:
    """Decode one clip into the findings and return a hash of its samples, or None for a log-mel."""
    facts = probe_clip(clip, arrays)
    if clip.is_array and arrays is not None and arrays.kind == "logmel":
        load_array(clip.path, "logmel", n_mels=arrays.n_mels)
        findings.note_facts(clip, facts)
        return None
    audio = read_clip(clip, arrays)
    if clip.onset is None and clip.offset is None:
        facts = replace(facts, duration=audio.duration)
    findings.note_facts(clip, facts)
    known = {flag.code for flag in facts.flags} | {"clipped_event"}
    for flag in audio.flags:
        if flag.code not in known:
            findings.note_flag(flag, clip.key)
    return hashlib.sha256(audio.samples.tobytes()).digest()
