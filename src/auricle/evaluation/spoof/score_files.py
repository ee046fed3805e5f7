# SPDX-License-Identifier: Apache-2.0
"""Score files of the anti-spoofing field, read and written. Higher scores mean bona fide.

ASVspoof 2019    `UTTERANCE SYSTEM KEY SCORE`, separated by spaces        (written unless the name ends in .tsv)
ASVspoof 2021    `UTTERANCE SCORE`
ASVspoof 5       `filename<TAB>cm-score` under a header of these names    (written where the name ends in .tsv)
verifier (ASV)   `SPEAKER KEY SCORE`, key target, nontarget or spoof
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from auricle.data.problems import Problems
from auricle.data.tables import read_fields
from auricle.evaluation.spoof.intervals import Trials
from auricle.evaluation.spoof.metrics import Array
from auricle.files import atomic_write
from auricle.registry import shorten

HEADER = ("filename", "cm-score")
KEYS = {True: "bonafide", False: "spoof"}
VERIFIER_KEYS = ("target", "nontarget", "spoof")


def write_scores(path: Path, trials: Trials, scores: Sequence[float] | Array) -> None:
    """Write one line a recording, in the order of the trials; scores with nine significant digits."""
    values = [f"{score:.9g}" for score in np.asarray(scores, np.float64)]
    if path.suffix == ".tsv":
        rows = ["\t".join(HEADER), *(f"{u}\t{v}" for u, v in zip(trials.utterances, values, strict=True))]
    else:
        columns = (trials.utterances, trials.systems, (KEYS[bool(b)] for b in trials.bonafide), values)
        rows = [" ".join(row) for row in zip(*columns, strict=True)]
    atomic_write(path, ("\n".join(rows) + "\n").encode())


def read_scores(path: Path, trials: Trials) -> Array:
    """Return the scores of ``trials`` from a file of any of the three formats, in their order.

    Raises:
        DataError: with all problems: lines that cannot be read, recordings without a score, with two, or unknown, and
            keys that contradict the protocol.
    """
    problems = Problems()
    known = dict(zip(trials.utterances, trials.bonafide, strict=True))
    found: dict[str, float] = {}
    unknown = []
    for number, fields in read_fields(path):
        if number == 1 and tuple(fields) == HEADER:
            continue
        score = _score(problems, number, fields, (2, 4), "UTTERANCE SCORE, or UTTERANCE SYSTEM KEY SCORE")
        if score is None:
            continue
        name = fields[0]
        if name not in known:
            unknown.append(name)
        elif name in found:
            problems.add("twice", f"line {number}: {name} has a score already")
        elif len(fields) == 4 and fields[2] != KEYS[bool(known[name])]:
            text = f"line {number}: {name} is called {fields[2]}, the protocol says {KEYS[bool(known[name])]}"
            problems.add("key", text)
        else:
            found[name] = score
    _note_names(problems, "recordings have no score", [u for u in trials.utterances if u not in found])
    _note_names(problems, "scores are of recordings that are not in the protocol", unknown)
    problems.stop_if_any(f"{path} does not fit the protocol")
    return np.array([found[u] for u in trials.utterances])


def read_verifier_scores(path: Path) -> Mapping[str, Array]:
    """Return the scores of a speaker verifier by key: ``target``, ``nontarget``, ``spoof``.

    Raises:
        DataError: with all problems.
    """
    problems = Problems()
    found: dict[str, list[float]] = {key: [] for key in VERIFIER_KEYS}
    for number, fields in read_fields(path):
        score = _score(problems, number, fields, (3,), "SPEAKER KEY SCORE")
        if score is None:
            continue
        if fields[1] not in found:
            problems.add("key", f"line {number}: key {fields[1]!r} is none of {', '.join(VERIFIER_KEYS)}")
        else:
            found[fields[1]].append(score)
    problems.extend("empty", (f"there is no {key} score" for key, values in found.items() if not values))
    problems.stop_if_any(f"{path} is no score file of a verifier")
    return {key: np.array(values) for key, values in found.items()}


def _note_names(problems: Problems, what: str, names: Sequence[str]) -> None:
    if names:
        problems.add("names", f"{len(names)} {what}: {shorten(names)}")


def _score(problems: Problems, number: int, fields: list[str], lengths: tuple[int, ...], expected: str) -> float | None:
    """Return the score at the end of a line, or note why there is none."""
    if len(fields) not in lengths:
        problems.add("fields", f"line {number}: {len(fields)} fields, expected {expected}")
        return None
    try:
        score = float(fields[-1])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        problems.add("score", f"line {number}: the score {fields[-1]!r} is no finite number")
        return None
    return score
