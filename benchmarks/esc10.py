# SPDX-License-Identifier: Apache-2.0
"""The table of ESC-10: official five folds, no pre-training, test folds scored once.

    python -m benchmarks.esc10 run SHARED RUNS [ROW ...]     trains what is missing (resumable: each fold is kept)
    python -m benchmarks.esc10 table RUNS                    writes docs/results/esc10.md from what is there

Each row is one `auricle crossval` command; the table says which.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auricle.files import atomic_write, read_json
from benchmarks.machine import describe

PAGE = Path(__file__).parents[1] / "docs/results/esc10.md"


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    options: tuple[str, ...]


ROWS = (
    Row("crnn", "CRNN, default recipe (head `attention`)", ("--seeds", "3")),
    Row(
        "concat_mlp",
        "CRNN with the seed's head `concat_mlp`",
        ("--seeds", "3", "--set", "model.head=concat_mlp", "--set", "model.texture=false"),
    ),
)

#: Rows of the CRNN before ADR 28, which today's code cannot train: what, weights, accuracy, each seed, commit.
EARLIER = (
    ("the default then, 100 epochs", "258,772", "88.2 [83.9, 91.9]", "88.25", "f24bf47a85c8"),
    (
        "mixing by loudness, random responses, three times as many crops (on a GPU, bf16)",
        "258,772",
        "88.9 [85.4, 92.3]",
        "89.50, 89.25, 88.00",
        "57f51ab",
    ),
    (
        "windows of 25 ms every 10 ms, 70 epochs, gain of 6 dB",
        "261,076",
        "88.2 [84.5, 91.7]",
        "89.00, 88.75, 86.75",
        "8e9795b0b334",
    ),
)
PUBLISHED = (
    ("random forest on MFCC (Piczak 2015)", "", "72.7"),
    ("CNN (Piczak 2015)", "31.5 M", "about 80"),
    ("ACRNN (CRNN with frame attention, log-gammatone)", "3.81 M", "93.7"),
    ("ACDNet, compressed", "0.13 M", "96.25"),
    ("human listeners", "", "95.7"),
)


def command(row: Row, data: Path, runs: Path) -> list[str]:
    return [
        *("auricle", "crossval", str(data), "--model", "crnn", *row.options),
        *("--jobs", "2", "--out", str(runs / row.name)),
    ]


def run(shared: Path, runs: Path, names: list[str]) -> None:
    for row in ROWS:
        if names and row.name not in names:
            continue
        data = shared / "data/esc10"
        arguments = command(row, data, runs)
        subprocess.run([_auricle(), *arguments[1:]], check=True)
        (runs / row.name / "commit").write_text(str(describe()["commit"]))


def _auricle() -> str:
    return str(Path(sys.executable).with_name("auricle"))


def table(runs: Path) -> str:
    lines = [
        "# ESC-10, five official folds",
        "",
        "Trained from scratch on four folds for a fixed number of epochs, nothing selected, the last averaged weights",
        "scored once on the fifth by the runtime (ONNX). 400 clips; interval: 95 % bootstrap over source recordings of",
        "the pooled out-of-fold predictions, averaged over seeds. Spread: standard deviation over seeds.",
        "",
        "| network | parameters | seeds | accuracy % [95 %] | spread | macro F1 % | calibration error "
        "| each fold %, mean over seeds |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    unfinished: list[str] = []
    details = [
        "",
        "## How",
        "",
        "| row | command | accuracy of each seed | data hash | commit |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        path = runs / row.name / "results.json"
        if not path.is_file():
            continue
        kept = runs / row.name / "commit"
        commit = kept.read_text().strip() if kept.is_file() else describe()["commit"]
        r = read_json(path)
        a, f = r["metrics"]["accuracy"], r["metrics"]["macro_f1"]
        seeds = [v["accuracy"] for v in r["by_seed"].values()]
        spread = f"{100 * np.std(seeds, ddof=1):.2f}" if len(seeds) > 1 else ""
        folds = ", ".join(f"{100 * np.mean(v):.1f}" for v in r["by_fold"].values())
        lines.append(
            f"| {row.what} | {r['parameters']:,} | {len(seeds)} | **{100 * a['value']:.1f}** "
            f"[{100 * a['low']:.1f}, {100 * a['high']:.1f}] | {spread} | {100 * f['value']:.1f} | "
            f"{r['metrics']['calibration_error']['value']:.3f} | {folds} |"
        )
        shown = " ".join(command(row, Path("esc10"), Path("runs")))
        seeds_text = ", ".join(f"{k}: {100 * v['accuracy']:.2f}" for k, v in r["by_seed"].items())
        asked = int(row.options[row.options.index("--seeds") + 1])
        if len(seeds) < asked:
            unfinished.append(f"Row `{row.name}` was stopped: {len(seeds)} of {asked} seeds were measured.")
        details.append(f"| {row.name} | `{shown}` | {seeds_text} | `{r['data_hash'][:16]}` | `{str(commit)[:12]}` |")
    lines += ["", "The CRNN before [ADR 28](../adr/0028-the-gru-reads-the-convolutions.md), the same folds:", ""]
    lines += ["| recipe | parameters | accuracy % [95 %] | each seed | commit |", "|---|--:|--:|---|---|"]
    lines += [f"| {what} | {size} | {value} | {each} | `{where}` |" for what, size, value, each, where in EARLIER]
    lines += ["", "Published, not measured here:", "", "| system | parameters | accuracy % |", "|---|--:|--:|"]
    lines += [f"| {name} | {size} | {value} |" for name, size, value in PUBLISHED]
    machine = describe()
    notes = [
        "",
        "Form `numpy`: `auricle data import esc10 --out esc10-npy` and the same training (fold 5 held out, 6 epochs)",
        "give weights whose SHA-256 is that of the Ogg files' run: equal bit for bit, so the figures are too.",
    ]
    notes += ["", *unfinished] if unfinished else []
    note = ["", "Machine: " + ", ".join(f"{k} {v}" for k, v in machine.items() if isinstance(v, str | int)), ""]
    return "\n".join([*lines, *details, *notes, *note])


def main() -> None:
    if len(sys.argv) > 3 and sys.argv[1] == "run":
        run(Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve(), sys.argv[4:])
    elif len(sys.argv) == 3 and sys.argv[1] == "table":
        atomic_write(PAGE, table(Path(sys.argv[2])).encode())
        print(f"wrote {PAGE}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
