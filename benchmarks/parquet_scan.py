# SPDX-License-Identifier: Apache-2.0
"""A scan of 10,000 recordings as Parquet, read back by DuckDB and pandas as docs/tables.md says.

Links of real recordings in 100 folders are scanned by ``auricle detect --format parquet``; then the commands of the
document run, each in a process of its own, which pays for its imports, and once more in the same one. Both must count
what the journal of the scan holds. Writes docs/results/parquet.json, which ``benchmarks.scan`` shows.

    python -m benchmarks.parquet_scan FOLDER [--count 10000] [--jobs 2] [--model esc10]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import auricle
from auricle.audio.listing import Listing
from auricle.files import write_json
from benchmarks.machine import ROOT, describe, version
from benchmarks.scan import PARQUET, rewrite_page

DUCKDB = """
import time; begin = time.perf_counter()
import duckdb
query = "SELECT label, count(*) AS n, max(score) AS best FROM '{folder}/*.parquet' GROUP BY label ORDER BY n DESC"
rows = duckdb.sql(query).fetchall()
middle = time.perf_counter()
again = duckdb.sql(query).fetchall()
print(__import__("json").dumps([middle - begin, time.perf_counter() - middle, {{row[0]: row[1] for row in rows}}]))
"""
PANDAS = """
import time; begin = time.perf_counter()
import pandas
table = pandas.read_parquet("{folder}")
counts = table.groupby("label").size()
middle = time.perf_counter()
again = pandas.read_parquet("{folder}").groupby("label").size()
found = {{k: int(v) for k, v in counts.items()}}
print(__import__("json").dumps([middle - begin, time.perf_counter() - middle, found]))
"""


def make_archive(folder: Path, recordings: list[str], count: int) -> None:
    """Link the recordings again and again, in 100 folders."""
    for i in range(count):
        source = Path(recordings[i % len(recordings)]).resolve()
        target = folder / f"{i % 100:02}" / f"{i:05}{source.suffix}"
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(source)


def read_by(code: str, folder: Path) -> tuple[float, float, dict[str, int]]:
    """Return the seconds of a reader with its imports, without them, and what it counted."""
    command = [sys.executable, "-c", code.format(folder=folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, again, counts = json.loads(done.stdout)
    return first, again, counts


def measure(inputs: list[str], count: int, jobs: int, model: str) -> dict[str, Any]:
    """Scan, read back, compare."""
    recordings = [entry.path for entry in Listing(inputs)]
    with tempfile.TemporaryDirectory() as temporary:
        archive, out = Path(temporary) / "archive", Path(temporary) / "events"
        archive.mkdir()
        make_archive(archive, recordings, count)
        begin = time.perf_counter()
        scan = auricle.scan(
            archive, model=model, command="detect", out=out, format="parquet", jobs=jobs, follow_links=True
        )
        scan_s = time.perf_counter() - begin
        truth = Counter(event.label for result in scan for event in result.events)
        parts = sorted((out / "events.parquet").glob("*.parquet"))
        readers = {}
        for name, code in (("DuckDB", DUCKDB), ("pandas", PANDAS)):
            first, again, counts = read_by(code, out / "events.parquet")
            if counts != truth:
                raise SystemExit(f"{name} counts {counts}, the journal {dict(truth)}")
            readers[name] = {"version": version(name.lower()), "first_s": round(first, 3), "again_s": round(again, 3)}
        tally = scan.tally
        assert tally is not None
        return {
            "recordings": count, "distinct": len(recordings), "jobs": jobs, "model": model, "failed": tally.failed,
            "audio_h": round(tally.audio_s / 3600, 2), "scan_s": round(scan_s, 1), "rows": sum(truth.values()),
            "parts": len(parts), "bytes": sum(part.stat().st_size for part in parts), "pyarrow": version("pyarrow"),
            "readers": readers,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="recordings: folders, files, patterns")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="esc10", help="model folder or name")
    options = parser.parse_args()
    machine = describe()
    found = {**measure(options.inputs, options.count, options.jobs, options.model), "machine": machine}
    print(json.dumps(found, indent=1))
    write_json(ROOT / "docs" / "results" / PARQUET, found)
    rewrite_page()


if __name__ == "__main__":
    main()
