# SPDX-License-Identifier: Apache-2.0
"""Mutants of audio files of 12 kinds: each is read, or refused with a code; none loses sound in silence.

    python tests/faults/mutants_audio.py --count 20000 --seed 1

prints a table and ends with 1 if one fails. A mutant loses sound in silence if it yields fewer samples than the file
it was made from, and no flag says that anything is amiss. Formats that state their length in bytes, and FLAC, must
not have one of those; of Ogg and MP3 they are counted.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import soundfile

from auricle.audio.decode import Limits, read_audio
from auricle.errors import FAILURE_CODES, FLAG_CODES, InputError

RATE = 16_000
FRAMES = 16_000
HANG_S = 10.0
#: Name -> (format, subtype) of libsndfile.
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "wav24": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
}
#: Kinds of which no mutant may lose sound in silence. AU and VOC are not among them: they say nothing twice, so another
#: number of channels is as good as the one that was written.
STRICT = ("wav", "wav24", "rf64", "flac", "caf", "w64", "aiff")
#: Flags that say that the sound is not all there, or may not be.
SAYING = {"truncated", "stream_header", "length_conflict", "header_conflict", "trailing_data", "decode_gap"}


@dataclass
class Tally:
    """What became of the mutants of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)
    slowest_s: float = 0.0


def originals() -> dict[str, bytes]:
    """Return a second of tone and noise in each kind."""
    time_s = np.arange(FRAMES) / RATE
    noise = np.random.default_rng(7).standard_normal(FRAMES)
    sound = (0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.02 * noise).astype(np.float32)
    files = {}
    for name, (container, subtype) in KINDS.items():
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, RATE, format=container, subtype=subtype)
        files[name] = buffer.getvalue()
    return files


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in 1 to 3 ways, half of the time in its header: bits, bytes, cuts, holes, repeats, zeros."""
    mutant = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        reach = max(1, min(len(mutant), 120) if rng.random() < 0.5 else len(mutant))
        at = int(rng.integers(0, reach))
        count = int(rng.integers(1, 200))
        way = int(rng.integers(0, 8))
        if way == 0 and mutant:
            mutant[at] ^= 1 << int(rng.integers(0, 8))
        elif way == 1:
            mutant[at : at + 4] = rng.bytes(4)
        elif way == 2:
            mutant[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
        elif way == 3:
            mutant[at:at] = mutant[at : at + count]
        elif way == 4:
            del mutant[at : at + count]
        elif way == 5:
            del mutant[int(rng.integers(0, len(mutant) + 1)) :]
        elif way == 6:
            mutant[at : at + count] = bytes(len(mutant[at : at + count]))
        else:
            mutant += rng.bytes(count)
    return bytes(mutant)


def mutants(kind: str, data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number, mutant); a mutant depends on nothing but seed, kind and number."""
    for number in range(count):
        mutant, rng = data, np.random.default_rng((seed, list(KINDS).index(kind), number))
        while mutant == data:
            mutant = mutate(data, rng)
        yield number, mutant


def frames_of(data: bytes) -> tuple[int, set[str]]:
    """Return how many samples a file yields, and the codes of its flags."""
    audio = read_audio(io.BytesIO(data), limits=Limits(max_duration_s=600))
    if not np.isfinite(audio.samples).all():
        raise ValueError("samples that are not finite")
    return len(audio.samples), {flag.code for flag in audio.flags}


def judge(kind: str, data: bytes, count: int, seed: int) -> Tally:
    """Read ``count`` mutants of one file."""
    tally = Tally()
    whole, _ = frames_of(data)
    for number, mutant in mutants(kind, data, count, seed):
        faulthandler.dump_traceback_later(3 * HANG_S, exit=True)
        began = time.monotonic()
        try:
            frames, codes = frames_of(mutant)
        except InputError as error:
            tally.outcomes[error.code] += 1
            if error.code not in FAILURE_CODES or "\n" in error.message:
                tally.failures.append(f"{kind} {number}: code {error.code!r}: {error.message}")
        except Exception as error:  # noqa: BLE001 (each is a failure, and is told)
            tally.failures.append(f"{kind} {number}: {type(error).__name__}: {error}")
        else:
            tally.outcomes["flagged" if codes & SAYING else "read"] += 1
            tally.failures += [f"{kind} {number}: unknown flag {code}" for code in codes - FLAG_CODES.keys()]
            if frames < whole and not codes & SAYING:
                tally.silent.append(number)
        finally:
            faulthandler.cancel_dump_traceback_later()
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
    if tally.slowest_s > HANG_S:
        tally.failures.append(f"{kind}: one took {tally.slowest_s:.1f} s")
    if kind in STRICT:
        tally.failures += [f"{kind} {number}: sound is lost in silence" for number in tally.silent]
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="mutants, of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    files = originals()
    each = -(-arguments.count // len(files))
    failures: list[str] = []
    print("| kind | mutants | read | flagged | refused | sound lost in silence | slowest |")
    print("|---|---|---|---|---|---|---|")
    for kind, data in files.items():
        tally = judge(kind, data, each, arguments.seed)
        read, flagged = tally.outcomes["read"], tally.outcomes["flagged"]
        refused = tally.outcomes.total() - read - flagged
        print(f"| {kind} | {each} | {read} | {flagged} | {refused} | {len(tally.silent)} | {tally.slowest_s:.2f} s |")
        sys.stdout.flush()
        failures += tally.failures
    print(f"\n{each * len(files)} mutants, seed {arguments.seed}: {len(failures)} failures")
    print(*failures[:50], sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
