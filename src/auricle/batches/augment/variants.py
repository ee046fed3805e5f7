# SPDX-License-Identifier: Apache-2.0
"""A data set of voices many times over: every recording in changed variants, and people's voices through vocoders.

    variants.json          rules and data hash; written first, so that a set is resumed by the same rules only
    flac/                  the recordings, 16 bits
    protocols/train.txt    SPEAKER UTTERANCE -|variant SYSTEM KEY: each recording as it is, then its variants; last

For a large model to label and a small one to learn from. Both classes pass the same changes: another speed, a room, the
channel, clicks and noise of RawBoost, a codec, another level. A vocoded recording keeps its speaker and becomes spoofed
speech of the system that the vocoder stands for. Each variant is a function of (seed, recording, number). Variants are
for training: heads on a teacher are fitted, and models calibrated, on the recordings as they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile

from auricle.audio.codecs import CODECS
from auricle.batches.augment.batch import apply_waves, draw_waves
from auricle.batches.augment.offline import draw_copy, make_copy
from auricle.batches.sampling import generator
from auricle.data.clip_audio import read_clip
from auricle.data.manifest import NO_SYSTEM, VARIANT, Clip, Manifest
from auricle.errors import DataError, RunError, UsageError
from auricle.files import atomic_write, read_json, write_json
from auricle.output_folder import OutputFolder
from auricle.progress import Progress
from auricle.recipe.schema import AugmentSection
from auricle.registry import nearest
from auricle.results import SPOOF_LABELS, FloatArray
from auricle.synth.vocoders import VOCODERS, griffin_lim, world

BONAFIDE, SPOOF = SPOOF_LABELS
AUDIO_FOLDER, PROTOCOL, VARIANTS_FILE = "flac", "protocols/train.txt", "variants.json"
_PURPOSE = 7  # a purpose, see ``batches.sampling``
#: What happens to variants, by the words of the recipe.
CHANGES = AugmentSection(
    speed=(0.9, 1.1),
    gain_db=6,
    noise_snr_db=(8, 40),
    noise_share=0.35,
    filter_share=0.35,
    impulse_share=0.1,
    masks=0,
    shift=False,
    room_share=0.25,
    codec_share=0.35,
    codecs=tuple(CODECS),
)
#: Mel bands and iterations of Griffin and Lim; factors of pitch and numbers of the envelope of WORLD.
MEL_BANDS, STEPS, PITCHES, ENVELOPES = (60, 128), (8, 32), (0.9, 1.1), (24, 48)
#: A peak above this would be clipped by 16 bits.
LOUDEST = 0.98


@dataclass(frozen=True)
class VariantRules:
    """How variants are made.

    Attributes:
        each: variants of each recording.
        vocoded: vocoded variants of each bona fide recording, beside those.
        systems: the name of the spoofing system that each vocoder stands for, as the data names it.
        seed: of everything random.
    """

    each: int = 3
    vocoded: int = 1
    systems: Mapping[str, str] = field(default_factory=lambda: {name: name for name in VOCODERS})
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in self.systems:
            if name not in VOCODERS:
                raise UsageError(f"unknown vocoder {name!r}{nearest(name, VOCODERS)}; known: {', '.join(VOCODERS)}")
        if self.each < 0 or self.vocoded < 0 or self.each + self.vocoded == 0:
            raise UsageError(f"{self.each} variants and {self.vocoded} vocoded ones: expected at least one of either")
        if self.vocoded and not self.systems:
            raise UsageError(f"{self.vocoded} vocoded variants and no vocoder; known: {', '.join(VOCODERS)}")


def change_voice(samples: FloatArray, sample_rate: int, rules: VariantRules, clip: int, number: int) -> FloatArray:
    """Return variant ``number`` of recording ``clip``, shape ``(time,)``."""
    plan = draw_waves(CHANGES, rules.seed, np.array([number]), np.array([clip]), 1000.0)
    plan = replace(plan, start=np.zeros(1))
    out = apply_waves(samples[None], plan, int((len(samples) - 1) / float(plan.speed[0])))[0]
    out = make_copy(out, sample_rate, draw_copy(CHANGES, rules.seed, clip, number))
    return out * np.float32(min(1.0, LOUDEST / max(float(np.abs(out).max()), 1e-9)))


def vocode(
    samples: FloatArray, sample_rate: int, rules: VariantRules, clip: int, number: int
) -> tuple[FloatArray, str]:
    """Return a recording through a vocoder that is drawn, and the vocoder's name."""
    rng = generator(rules.seed, _PURPOSE, clip, number)
    name = sorted(rules.systems)[int(rng.integers(len(rules.systems)))]
    if name == "world":
        coded = int(rng.integers(*ENVELOPES)) if rng.random() < 0.5 else None
        return world(samples, sample_rate, pitch=float(rng.uniform(*PITCHES)), bands=coded), name
    bands, steps = int(rng.integers(*MEL_BANDS)), int(rng.integers(*STEPS))
    return griffin_lim(samples, sample_rate, bands=bands, steps=steps, seed=clip), name


def write_variants(
    manifest: Manifest, out: Path, rules: VariantRules, sample_rate: int, progress: Progress | None = None
) -> int:
    """Write recordings and variants as a data set of the format ``asvspoof``, or go on with that.

    Args:
        manifest: of the labels ``bonafide`` and ``spoof``; of data with parts, the train part is taken.
        out: folder; must be new or empty, or hold a part of this very set.
        rules: what is made.
        sample_rate: to write, in Hz.
        progress: is called.

    Returns:
        How many recordings there are now.

    Raises:
        DataError: other labels.
        RunError: the folder holds something else, or variants by other rules.
        UsageError: a vocoder is not installed.
    """
    if tuple(sorted(manifest.labels)) != SPOOF_LABELS:
        raise DataError(
            "no variants can be made", [f"labels {', '.join(manifest.labels)}; expected bonafide and spoof"]
        )
    chosen = [i for i, clip in enumerate(manifest.clips) if clip.split in (None, "train")]
    manifest = manifest.select(chosen)
    plan = {**asdict(rules), "systems": dict(rules.systems), "sample_rate": sample_rate, "data": manifest.data_hash}
    progress = Progress() if progress is None else progress
    begun = out / VARIANTS_FILE
    OutputFolder(out, "variants").require_own(begun.is_file(), resume=True)
    stored = read_json(begun) if begun.is_file() else plan
    if changed := sorted(key for key in plan if stored.get(key) != plan[key]):
        raise RunError(
            f"{out} cannot continue: it was started with another {', '.join(changed)}; give the same, or another folder"
        )
    for folder in (out / AUDIO_FOLDER, (out / PROTOCOL).parent):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(begun, plan)
    lines = []
    progress.preparing(len(manifest))
    for clip, item in enumerate(manifest.clips):
        for name, system, samples in _variants(item, clip, rules, sample_rate, out):
            path = out / AUDIO_FOLDER / f"{name}.flac"
            if samples is not None:
                buffer = io.BytesIO()
                soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
                atomic_write(path, buffer.getvalue())
            kind = BONAFIDE if system == NO_SYSTEM else SPOOF
            which = NO_SYSTEM if name.endswith("-0") else VARIANT
            lines.append(f"{item.group or f'speaker{clip}'} {name} {which} {system} {kind}")
        progress.file_prepared()
    atomic_write(out / PROTOCOL, ("\n".join(lines) + "\n").encode())
    return len(lines)


def _variants(
    item: Clip, clip: int, rules: VariantRules, sample_rate: int, out: Path
) -> Iterator[tuple[str, str, FloatArray | None]]:
    """Yield name, system and sound of a recording and of its variants; no sound where it has been written."""
    bonafide = item.label == (BONAFIDE,)
    own = NO_SYSTEM if bonafide else item.extra.get("system", "unnamed")
    stem, count = f"{clip:05d}_{Path(item.key).stem}", rules.each + rules.vocoded * bonafide
    names = [f"{stem}-{number}" for number in range(count + 1)]
    there = [(out / AUDIO_FOLDER / f"{name}.flac").is_file() for name in names]
    samples = None if all(there) else read_clip(item, None, sample_rate=sample_rate).samples
    for number, name in enumerate(names):
        system, sound = own, samples
        if number > rules.each and samples is not None:
            sound, vocoder = vocode(samples, sample_rate, rules, clip, number)
            system = rules.systems[vocoder]
        elif number > rules.each:
            rng = generator(rules.seed, _PURPOSE, clip, number)
            system = rules.systems[sorted(rules.systems)[int(rng.integers(len(rules.systems)))]]
        if number and sound is not None and not there[number]:
            sound = change_voice(sound, sample_rate, rules, clip, number)
        yield name, system, None if there[number] else sound
