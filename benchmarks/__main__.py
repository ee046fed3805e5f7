# SPDX-License-Identifier: Apache-2.0
"""Run the benchmarks of speed, one process after the other, and write the figures and their page.

    python -m benchmarks [NAME ...] [--model MODEL] [--quick]

Figures go to docs/results/benchmarks.json and docs/results/benchmarks.md; benchmarks that are not named keep theirs.
With --quick nothing is written: such figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from auricle.files import atomic_write, read_json, write_json
from benchmarks.page import FIGURES, NAMES, PAGE, make_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--model", help="model folder or name")
    parser.add_argument("--quick", action="store_true", help="few and short runs, nothing is written")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    passed = [*(["--model", options.model] if options.model else []), *(["--quick"] if options.quick else [])]
    figures = read_json(FIGURES) if FIGURES.exists() else {}
    for name in options.names if options.names else NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *passed]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"benchmarks.{name} failed; nothing more was measured")
        figures[name] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(figures[name], indent=1))
    if not options.quick:
        FIGURES.parent.mkdir(parents=True, exist_ok=True)
        write_json(FIGURES, figures)
        atomic_write(PAGE, make_page(figures).encode())


if __name__ == "__main__":
    main()
