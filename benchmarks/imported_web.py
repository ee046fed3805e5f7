# SPDX-License-Identifier: Apache-2.0
"""Measure an imported model in ONNX Runtime and in a browser: ESC-10 named without training, and how far they differ.

    python -m benchmarks.imported_web SHARED [--window 10 5] [--out docs/results/imported.json]

A published checkpoint of EfficientAT is imported, exported as a site, and the site's own modules score every clip of
ESC-10 in chromium. Both get the same samples: what is compared is the network and the rule that makes clip scores.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from auricle import api
from auricle.audio.decode import read_audio
from auricle.results import FloatArray
from benchmarks.general import CHECKPOINT, MATCHES, _zero_shot, esc10
from benchmarks.machine import commit, describe, one_thread

#: Scores of one recording at the model's rate, by the modules of the site.
_SCORE = """
async (text) => {
  const { loadModel, runWindow } = await import("./engine.js");
  const { aggregate, calibrate, cutWindows } = await import("./rules.js");
  const model = (globalThis.scored ??= await loadModel());
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const samples = new Float32Array(bytes.buffer), begin = performance.now(), found = [];
  for (const window of cutWindows(samples, model.spec)) found.push((await runWindow(model, window)).clip);
  return { clip: Array.from(calibrate(aggregate(found, model.spec), model.spec)), ms: performance.now() - begin };
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def page_of(folder: Path) -> Iterator[Any]:
    """Give the page of a site, open in chromium."""
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=120_000)
            yield page
            browser.close()
    finally:
        server.shutdown()
        server.server_close()


def measure(shared: Path, window_s: float, folder: Path, limit: int | None) -> dict[str, Any]:
    """Import, export, score all clips twice."""
    model = folder / f"mn04-{window_s:g}"
    api.import_model(str(shared / CHECKPOINT), out=model, window_s=window_s,
                     labels=str(shared / "models/audioset_class_labels_indices.csv"))  # fmt: skip
    site = api.export_site(str(model), str(folder / f"site-{window_s:g}"))
    clips = esc10(shared)[:limit]
    true = np.array([list(MATCHES).index(row[1]) for row in clips])
    detector = api.load(str(model))
    python, browser, times, ms = [], [], [], []
    with page_of(Path(site.path)) as page:
        for path, _, _ in clips:
            samples = read_audio(path, sample_rate=detector.spec.sample_rate).samples
            begin = time.perf_counter()
            found = {score.label: score.score for score in detector.tag(samples, detector.spec.sample_rate).scores}
            times.append(1e3 * (time.perf_counter() - begin))
            python.append([found[label] for label in detector.labels])
            said = page.evaluate(_SCORE, base64.b64encode(samples.astype("<f4").tobytes()).decode())
            browser.append(said["clip"])
            ms.append(said["ms"])
        version = page.context.browser.version
    ours, theirs = np.array(python, np.float32), np.array(browser, np.float32)
    return {
        "window_s": window_s, "clips": len(clips), "classes": len(detector.labels),
        "site_mb": round(site.size / 1e6, 1),
        "onnx_runtime": _share(ours, true), "browser": _share(theirs, true),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "same_first_class": int((ours.argmax(1) == theirs.argmax(1)).sum()),
        "onnx_runtime_ms": round(float(np.median(times)), 1), "browser_ms": round(float(np.median(ms)), 1),
        "chromium": version,
    }  # fmt: skip


def _share(scores: FloatArray, true: FloatArray) -> dict[str, Any]:
    """Return the share of clips named right, with its interval of 95 % by Wilson."""
    share, n, z = _zero_shot(scores, true), len(true), 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((share * (1 - share) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n)
    return {"share": share, "low": round(centre - half, 4), "high": round(centre + half, 4)}


def main(arguments: Sequence[str] | None = None) -> None:
    one_thread("benchmarks.imported_web")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--window", type=float, nargs="+", default=[10.0, 5.0])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="auricle-imported-") as folder:
        rows = [measure(options.shared, window, Path(folder), options.limit) for window in options.window]
    text = json.dumps({"commit": commit(), "machine": describe(), "rows": rows}, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
