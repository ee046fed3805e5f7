# SPDX-License-Identifier: Apache-2.0
"""A day of sound in the studio's page: how soon it is there, how it zooms, and whether memory grows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.page import machine_line
from benchmarks.studio_browser import Server, Visitor, memory_mb, renderers, serve_studio

#: Zooms in and out by the wheel, once before each picture of the screen.
ZOOM = """async (seconds) => {
  const stage = document.getElementById("stage"), box = stage.getBoundingClientRect();
  const times = [], begin = performance.now();
  return await new Promise((resolve) => {
    const step = (now) => {
      times.push(now);
      if (now - begin > 1000 * seconds) {
        const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
        const at = (share) => gaps[Math.floor(share * (gaps.length - 1))];
        const rate = (1000 * gaps.length) / (times.at(-1) - times[0]);
        return resolve({ frames_a_second: rate, median_ms: at(0.5), p95_ms: at(0.95), worst_ms: at(1) });
      }
      const deltaY = Math.floor(times.length / 60) % 2 ? 60 : -60;
      const where = { clientX: box.left + 0.4 * box.width, clientY: box.top + 50, bubbles: true, cancelable: true };
      stage.dispatchEvent(new WheelEvent("wheel", { deltaY, ctrlKey: true, ...where }));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
}"""
#: Columns of the spectrogram that are not of one colour.
DRAWN = """(() => {
  const canvas = document.getElementById("picture"), pen = canvas.getContext("2d");
  const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let x = 0; x < width; x += 8) {
    const seen = new Set();
    for (let y = 0; y < height; y += 4) seen.add(data[4 * (y * width + x)]);
    if (seen.size > 3) drawn++;
  }
  return drawn / Math.ceil(width / 8);
})()"""


def look_at_a_day(visitor: Visitor, server: Server) -> dict[str, Any]:
    """Open, zoom and play 24 h."""
    page = visitor.page
    page.click("#tab-find")
    memory = {"server": [server.memory_mb()], "tab": [memory_mb(renderers())]}
    page.fill("#recordings-find", "day.wav")
    with visitor.timed("24 h: first picture"):
        page.click(".recording")
        visitor.until("document.getElementById('recording-title').textContent === 'day.wav'")
        visitor.until(f"{DRAWN} > 0.1")
    with visitor.timed("24 h: whole picture, after that"):
        visitor.until(f"{DRAWN} > 0.98")
    visitor.picture("day")
    zooms = []
    for _ in range(5):
        zooms.append(page.evaluate(ZOOM, 4))
        print(zooms[-1], file=sys.stderr)
        memory["server"].append(server.memory_mb())
        memory["tab"].append(memory_mb(renderers()))
    page.focus("#track")
    with visitor.timed("24 h: sound plays at a place never heard"):
        page.keyboard.press("End")
        page.keyboard.press("PageDown")
        before = page.inner_text("#clock")
        page.keyboard.press("Space")
        visitor.until(f"document.getElementById('clock').textContent !== {json.dumps(before)}")
    return {"zooms": zooms, "memory_mb": {name: [round(v) for v in values] for name, values in memory.items()}}


def measure_day(visitor: Visitor, folder: Path) -> dict[str, Any]:
    """Return the figures of ``day.wav`` in a folder."""
    server = serve_studio(folder)
    visitor.page.goto(server.url)
    visitor.until("document.documentElement.dataset.ready === 'yes'")
    found = look_at_a_day(visitor, server)
    server.stop()
    return {**found, "machine": describe()}


def day_section(day: dict[str, Any]) -> str:
    """Return the paragraph of docs/results/studio.md."""
    rates = sorted(zoom["frames_a_second"] for zoom in day["zooms"])
    slowest, middle = rates[0], rates[len(rates) // 2]
    p95 = max(zoom["p95_ms"] for zoom in day["zooms"])
    spelled = {name: ", ".join(map(str, values)) for name, values in day["memory_mb"].items()}
    return (
        f"\nA recording of 24 h, zoomed in and out by the wheel for {len(day['zooms'])} times 4 s: at least "
        f"{slowest:.0f} frames a second, {middle:.0f} in the middle; 95 % of the frames came within {p95:.0f} ms. "
        f"Memory in MB before "
        f"it was opened and after each zoom: server {spelled['server']}; tab {spelled['tab']}. "
        f"Meanwhile the server computed the vectors of the day. {machine_line(day['machine'])}\n"
    )
