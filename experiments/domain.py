# SPDX-License-Identifier: Apache-2.0
"""How often is speech of strangers flagged as unlike the training data, and how often are music and other sounds?

    python -m experiments.domain SHARED

Describes 500 clips of the spoof corpus's train part (first window of each) and prints shares of flagged recordings: of
speakers left out of the fit (five folds), of music and of other sounds in the pool, of ESC-10. A path that holds
"music" counts as music: a hint, not a label.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auricle.audio.decode import read_audio
from auricle.runtime.ood import MOST, distance, fit_domain, window_features
from auricle.runtime.spec import DomainPart
from auricle.runtime.windows import cut_windows

RATE, WINDOW, CLIPS, FOLDS, SEED = 16_000, 64_600, 500, 5, 0


def features(path: Path) -> np.ndarray:
    samples = read_audio(str(path), sample_rate=RATE).samples
    return np.stack([window_features(w, RATE) for w in cut_windows(samples, WINDOW, WINDOW // 2, "repeat")])


def flagged(domain: DomainPart, windows: np.ndarray) -> bool:
    mean, whitening = np.array(domain.mean), np.array(domain.whitening)
    return bool(np.mean([distance(x, mean, whitening) > domain.limit for x in windows]) > MOST)


def share(domain: DomainPart, paths: Sequence[Path]) -> dict[str, float]:
    return {"n": len(paths), "flagged": round(float(np.mean([flagged(domain, features(p)) for p in paths])), 3)}


def main() -> None:
    shared = Path(sys.argv[1])
    rng = np.random.default_rng(SEED)
    lines = [line.split() for line in (shared / "data/spoof/protocols/train.txt").read_text().splitlines()]
    chosen = [lines[i] for i in rng.permutation(len(lines))[:CLIPS]]
    speech = np.stack([features(shared / f"data/spoof/flac/{row[1]}.flac")[0] for row in chosen])
    names = sorted({row[0] for row in chosen})
    fold_of = dict(zip(rng.permutation(names), np.arange(len(names)) % FOLDS, strict=True))
    folds = np.array([fold_of[row[0]] for row in chosen])
    strangers = []
    for fold in range(FOLDS):
        domain = fit_domain(speech[folds != fold], 2.0)
        strangers += [flagged(domain, x[None]) for x in speech[folds == fold]]
    domain = fit_domain(speech, 2.0)
    with (shared / "data/pool/pool.csv").open(encoding="utf-8") as file:
        pool = [
            (shared / "data/pool" / row["filename"], "music" in row["path"].lower()) for row in csv.DictReader(file)
        ]
    music, others = [p for p, m in pool if m], [p for p, m in pool if not m]
    esc10 = sorted((shared / "data/esc10").glob("*/*.ogg"))
    found = {
        "speech of speakers left out": {"n": len(strangers), "flagged": round(float(np.mean(strangers)), 3)},
        "music": share(domain, music),
        "other sounds": share(domain, [others[i] for i in rng.permutation(len(others))[:150]]),
        "ESC-10": share(domain, [esc10[i] for i in rng.permutation(len(esc10))[:100]]),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
