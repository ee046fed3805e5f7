# SPDX-License-Identifier: Apache-2.0
"""What ``auricle data synth CLIPS`` does with its options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from auricle.cli.guard import say
from auricle.data.formats.registry import read_source
from auricle.errors import UsageError
from auricle.files import printable
from auricle.recipe.requests import DataSource
from auricle.synth.dataset import ScenePart, make_soundscapes, parse_part
from auricle.synth.scenes import SceneRules

#: Levels that a user may mean, in dB.
_SNR_LIMIT_DB = 100.0


def make_scenes(
    source: DataSource,
    out: Path,
    rules: SceneRules,
    *,
    parts: Sequence[str],
    scenes: int,
    events: str,
    snr: str,
    jobs: int,
    format: str,
    quiet: bool,
) -> None:
    """Make scenes of clips and say what was made; exits 1 if clips could not be used."""
    from auricle.cli.progress import Meter
    from auricle.cli.report_output import print_object

    rules = replace(rules, events=parse_counts(events), snr_db=parse_range(snr))
    wanted = [parse_part(text) for text in parts] or [ScenePart("scene", (), scenes)]
    manifest = read_source(source)
    with Meter("scenes", quiet=quiet) as meter:
        report = make_soundscapes(manifest, out, wanted, rules, jobs=jobs, progress=meter.update)
    if format == "json":
        print_object(report.to_dict(), sys.stdout)
    else:
        for name, count in report.scenes.items():
            print(f"{name}: {count} scenes, {report.events[name]} events")
        print(report.path)
    for key, failure in report.failures.items():
        say(f"auricle: {printable(key)}: {failure.message} [{failure.code}]")
    if report.failures:
        raise typer.Exit(1)


def parse_counts(text: str) -> tuple[int, int]:
    """Read ``MIN-MAX`` or one number; raises ``UsageError``."""
    low, _, high = text.partition("-")
    high = high if high else low
    if not (low.isdecimal() and high.isdecimal() and int(low) <= int(high)):
        raise UsageError(f"--events {text}: expected MIN-MAX, such as 1-6, or one number")
    return int(low), int(high)


def parse_range(text: str) -> tuple[float, float]:
    """Read ``LOW,HIGH`` in dB; raises ``UsageError``."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not -_SNR_LIMIT_DB <= low <= high <= _SNR_LIMIT_DB:
        raise UsageError(f"--snr {text}: expected LOW,HIGH in dB, such as 0,20")
    return low, high
