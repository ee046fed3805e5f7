# SPDX-License-Identifier: Apache-2.0
"""A corpus of "voices" made in a moment: bona fide are low tones, spoofed ones high, both in syllables.

folder = write_corpus(tmp_path / "corpus")    # protocols/train.txt, dev.txt, eval.txt beside flac/
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 8_000
#: Speakers of each part, and the systems that spoof there; ``S2`` is never in train.
PARTS = {"train": (6, ("S0", "S1")), "dev": (3, ("S0", "S1")), "eval": (3, ("S0", "S2"))}
CLIPS = 4


def voice(pitch_hz: float, seed: int, seconds: float = 0.6) -> np.ndarray:
    """Return a tone with overtones that comes and goes four times a second, over a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * k * pitch_hz * time + rng.uniform(0, 6)) / k for k in (1, 2, 3))
    syllables = 0.5 - 0.45 * np.cos(2 * np.pi * 4 * time + rng.uniform(0, 6))
    return (0.2 * tone * syllables + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


def write_corpus(folder: Path) -> Path:
    """Write the corpus: of each part, half the speakers are people and half are voices of synthesisers."""
    (folder / "flac").mkdir(parents=True)
    (folder / "protocols").mkdir()
    seed = 0
    for part, (speakers, systems) in PARTS.items():
        lines = []
        for s in range(2 * speakers):
            real = s < speakers
            for k in range(CLIPS):
                seed += 1
                name = f"{part[0].upper()}_{s:02d}{k}"
                pitch = (140 if real else 420) * np.random.default_rng(seed).uniform(0.8, 1.25)
                soundfile.write(folder / "flac" / f"{name}.flac", voice(pitch, seed), RATE)
                system = "- bonafide" if real else f"{systems[s % len(systems)]} spoof"
                lines.append(f"{part}{s} {name} - {system}")
        (folder / "protocols" / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return folder
