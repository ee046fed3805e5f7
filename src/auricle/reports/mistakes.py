# SPDX-License-Identifier: Apache-2.0
"""The clips a model was most sure and most wrong about: to look at, and to listen to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from auricle.data.clip_audio import read_clip
from auricle.evaluation.clip_metrics import DECISION, with_none
from auricle.reports.figures import Scored
from auricle.reports.sound import audio_uri, png_uri
from auricle.reports.spectrogram import spectrogram_png
from auricle.timeline import seconds_to_samples

#: A page of more recordings grows large and is not looked at.
MOST_MISTAKES = 12
#: Longer clips are shown from their beginning.
LONGEST_S = 20.0


@dataclass(frozen=True)
class Mistake:
    """One clip that was judged wrongly.

    Attributes:
        number: of the clip in the data.
        name: of its file.
        true: what it is.
        found: what it was taken for.
        wrongness: how sure the wrong decision was, from 0 to 1.
        picture: spectrogram, as ``data:`` address.
        sound: the clip, as ``data:`` address; None if it is too long.
    """

    number: int
    name: str
    true: str
    found: str
    wrongness: float
    picture: str = ""
    sound: str | None = None


def worst_mistakes(scored: Scored, most: int = MOST_MISTAKES) -> tuple[list[Mistake], int]:
    """Return the worst mistakes with picture and sound, worst first, and how many there are in all."""
    found = _single(scored) if scored.single else _multi(scored)
    found.sort(key=lambda mistake: (-mistake.wrongness, mistake.number))
    return [_with_clip(scored, mistake) for mistake in found[:most]], len(found)


def _single(scored: Scored) -> list[Mistake]:
    true, decided = scored.classes()
    scores, names = with_none(scored.scores), scored.names
    return [
        Mistake(i, _name(scored, i), names[true[i]], f"taken for {names[decided[i]]}", float(scores[i, decided[i]]))
        for i in np.flatnonzero(true != decided).tolist()
    ]


def _multi(scored: Scored) -> list[Mistake]:
    """Return each clip with its worst label: missed, or a false alarm."""
    truth, mistakes = scored.targets >= DECISION, []
    errors = np.abs(scored.scores - truth)
    for i in np.flatnonzero((truth != (scored.scores >= DECISION)).any(axis=1)).tolist():
        worst = int(errors[i].argmax())
        label = scored.manifest.labels[worst]
        true = ", ".join(name for name, is_true in zip(scored.manifest.labels, truth[i], strict=True) if is_true)
        what = f"missed {label}" if truth[i, worst] else f"false alarm {label}"
        mistakes.append(Mistake(i, _name(scored, i), true if true else "none of them", what, float(errors[i, worst])))
    return mistakes


def _name(scored: Scored, number: int) -> str:
    return PurePath(scored.manifest.clips[number].path).name


def _with_clip(scored: Scored, mistake: Mistake) -> Mistake:
    audio = read_clip(scored.manifest.clips[mistake.number], scored.manifest.arrays)
    samples = audio.samples[: seconds_to_samples(LONGEST_S, audio.sample_rate)]
    return Mistake(
        mistake.number,
        mistake.name,
        mistake.true,
        mistake.found,
        mistake.wrongness,
        png_uri(spectrogram_png(samples, audio.sample_rate)),
        audio_uri(samples, audio.sample_rate, largest_wav=0),
    )
