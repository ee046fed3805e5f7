# SPDX-License-Identifier: Apache-2.0
"""From the measured figures to docs/results/benchmarks.md.

python -m benchmarks.page        writes the page again from the figures that are there
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from auricle.files import atomic_write, read_json

RESULTS = Path(__file__).parents[1] / "docs" / "results"
FIGURES, PAGE = RESULTS / "benchmarks.json", RESULTS / "benchmarks.md"
HEAD = """\
<!-- Written by benchmarks/page.py (make bench) from benchmarks.json: measure again, do not edit. -->

# Speed

Medians, with quartiles in brackets. Candidates of one table took turns in one run.
"""


def make_page(figures: Mapping[str, Any]) -> str:
    """Return the page of the benchmarks that were measured."""
    parts = [HEAD]
    for name in NAMES:
        if name in figures:
            title, section = SECTIONS[name]
            parts.append(f"\n## {title}\n\n{section(figures[name])}\n{machine_line(figures[name]['machine'])}\n")
    return "".join(parts)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are numbers."""
    names = list(columns)
    lines = [f"| {' | '.join(names)} |", f"|---|{'--:|' * (len(names) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def spell(timing: Mapping[str, float], unit: str = "ms") -> str:
    """Return a median with its quartiles, such as ``3.2 (3.1 to 3.4)``."""
    scale = 1000 if unit == "ms" else 1
    return "{:.3g} ({:.3g} to {:.3g})".format(*(scale * timing[k] for k in ("median_s", "low_s", "high_s")))


def machine_line(machine: Mapping[str, Any]) -> str:
    """Return one line about where the figures come from."""
    versions = [
        f"{k} {v}" for k, v in machine.items() if k not in ("cpu", "cores", "memory_gb", "commit", "date", "load")
    ]
    return (
        f"Measured {machine['date']} at commit {machine['commit']} on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, load {machine['load']}; {', '.join(versions)}."
    )


def logmel_section(found: Mapping[str, Any]) -> str:
    timings = found["timings"]
    reference = timings["librosa"]["median_s"]
    rows = [(name, spell(t), f"{reference / t['median_s']:.1f}", str(t["n"])) for name, t in timings.items()]
    worst = max(found["largest_difference_from_librosa"].values())
    head = f"{found['seconds_of_audio']} s of 16 kHz audio, 64 bands, one thread, warm.\n\n"
    tail = f"\nThe largest difference of any value from librosa's is {worst:.1g} (natural logarithm).\n"
    return head + table(("log-mel", "ms", "times librosa's speed", "n"), rows) + tail


def tag_section(found: Mapping[str, Any]) -> str:
    timings, weights = found["timings"], found["weights"]
    slowest = max(t["median_s"] for t in timings.values())
    rows = [
        (name, f"{weights[name] / 1e6:.2f}", spell(t), f"{slowest / t['median_s']:.0f}", str(t["n"]))
        for name, t in timings.items()
    ]
    head = (
        f"A clip of {found['seconds_of_audio']} s from samples to scores, front end included, one thread, warm. "
        f"auricle scores windows of {found['window_s']:g} s every {found['hop_s']:g} s (model `{found['model']}`).\n\n"
    )
    return head + table(("tagger", "million weights", "ms", "times faster", "n"), rows)


def cold_start_section(found: Mapping[str, Any]) -> str:
    rows = [(f"`{name}`", spell(t, "s"), str(t["n"])) for name, t in found["timings"].items()]
    return "A new process each time; the clip has 5 s.\n\n" + table(("command", "s", "n"), rows)


def long_file_section(found: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{row['form']}, {row['audio_s'] / 60:g} min",
            f"{row['wall_s']:g}",
            f"{row['audio_s'] / row['wall_s']:.0f}",
            f"{row['cpu_s']:g}",
            f"{row['peak_mb']:.0f}",
        )
        for row in found["rows"]
    ]
    columns = ("recording", "wall s", "seconds of audio a second", "processor s", "peak memory, MB")
    return "`auricle detect` from disk to events, one process, start included.\n\n" + table(columns, rows)


SECTIONS = {
    "logmel": ("Log-mel", logmel_section),
    "tag": ("Tagging", tag_section),
    "cold_start": ("Start", cold_start_section),
    "long_file": ("Long recordings", long_file_section),
}
NAMES = tuple(SECTIONS)

if __name__ == "__main__":
    atomic_write(PAGE, make_page(read_json(FIGURES)).encode())
