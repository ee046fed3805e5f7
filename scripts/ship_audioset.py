# SPDX-License-Identifier: Apache-2.0
"""Turn the student of the pool that begins as mn04's first layers into the built-in bundle ``audioset``.

    python -m benchmarks.distillation teach SHARED RUNS pretraining
    python -m benchmarks.distillation audioset SHARED RUNS 0
    python -m benchmarks.distillation agree SHARED RUNS
    python scripts/ship_audioset.py SHARED RUNS

The card gets the figures of ``agree``, which chose nothing, the packages of the pool with their licences, and what the
model cannot do.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

from auricle.files import atomic_write, read_json
from auricle.results import Interval
from auricle.runtime.bundle import load_bundle, write_bundle
from auricle.training.card import front_matter

TARGET = Path(__file__).parents[1] / "src/auricle/bundles/audioset"
LICENSE = "sounds under the licences of their packages in Debian 12 main, named in README.md; first layers: MIT"
ATTRIBUTION = (
    "Teacher, and origin of the first layers: mn04_as of EfficientAT (F. Schmid, K. Koutini, G. Widmer; MIT), trained "
    "on AudioSet (J. Gemmeke et al., ICASSP 2017), whose class names these are; sounds out of packages of Debian 12 "
    "main"
)
#: Each file of weights.
MAX_BYTES = 1_500_000
LIMITS = (
    "It says what mn04 would say, not what is there: it was trained without a label of a person. mn04 itself has a mAP "
    "of 43 % on AudioSet.",
    "It heard two hours of effects of games, desktops and lessons. Classes that are rare there (instruments, machines, "
    "most animals) it knows from its first layers alone.",
    "A score is no probability. What counts is the order; 0.1 is much for a rare class.",
    "A frame stands for 160 ms.",
    "A model of your own classes can begin with it: `auricle train clips/ --model mobilecrnn --init audioset "
    "--new-head`.",
)


def figure_rows(figures: Mapping[str, Interval]) -> list[str]:
    """Return the table of the card as every card has it."""
    rows = ["| part | metric | value | 95 % interval | n |", "|---|---|---|---|---|"]
    return rows + [
        f"| test, scored once | {name} | {m.value:.4g} | {m.low:.4g} – {m.high:.4g} | {m.n} |"
        for name, m in figures.items()
    ]


def packages(pool: Path) -> list[str]:
    """Return a line for each package of the pool: name, clips, licences."""
    found: dict[str, list[str]] = {}
    with pool.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["package"], []).append(row["licence"])
    return [
        f"- {name}: {len(all_of)} clips; {'; '.join(sorted(set(all_of)))}" for name, all_of in sorted(found.items())
    ]


def main() -> None:
    """Write the bundle into the package."""
    shared, runs = (Path(word) for word in sys.argv[1:3])
    source, agreement = runs / "audioset/seed0", read_json(runs / "agree.json")
    bundle = load_bundle(source)
    names = {"mAP": "agreement_mAP", "top1": "agreement_top1", "zero_shot": "esc10_fold5_accuracy"}
    figures = {names[key]: Interval(**value) for key, value in agreement["audioset/seed0"].items()}
    provenance = bundle.spec.provenance.model_copy(
        update={"license": LICENSE, "attribution": ATTRIBUTION, "data_name": "pool"}
    )
    spec = bundle.spec.model_copy(update={"name": "audioset", "provenance": provenance})
    files = {name: bundle.read(name) for name in bundle.spec.sha256}
    if large := {name: len(content) for name, content in files.items() if len(content) > MAX_BYTES}:
        sys.exit(f"{large}; a file of a built-in bundle has at most {MAX_BYTES} bytes")
    _, _, text = (source / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    text, _, _ = text.partition("## Limits\n")
    text = text.replace("No part of the data was held out, so nothing is claimed.", "\n".join(figure_rows(figures)))
    text = text.replace("Licence of the data: not stated.", f"Licence of the data: {LICENSE}. {ATTRIBUTION}.")
    what = (
        f"`agreement` is with mn04 on {agreement['clips']} clips of two packages that were kept out: mean average "
        f"precision with mn04's scores from 0.3 on as truth, over {agreement['classes']} classes with at least five "
        "such clips, and how often both name the same class first. `esc10_fold5_accuracy`: clips of ESC-10 fold 5, "
        "none of which was heard, named by the best of the matching classes."
    )
    lines = [
        "---",
        front_matter(spec, "pool", figures).rstrip(),
        "---",
        text.rstrip().replace(f"# {bundle.spec.name}\n", "# audioset\n"),
        "",
        what,
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in LIMITS),
        "",
        "## Packages of the sounds",
        "",
        *packages(shared / "data/pool/pool.csv"),
        "",
    ]
    write_bundle(TARGET, spec, files)
    atomic_write(TARGET / "README.md", "\n".join(lines).encode())
    sys.stdout.write(f"wrote {TARGET}: {sum(map(len, files.values()))} bytes\n")


if __name__ == "__main__":
    main()
