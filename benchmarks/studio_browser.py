# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the studio share: its server as a process, and a browser that does what a user does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
WAIT_S = 300


class Server:
    """A command of auricle that serves, as a process.

    Args:
        words: the command and its options.
    """

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "auricle", *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "http://" in line:
                self.url = line[line.index("http://") :].split()[0].rstrip(".,;")
                break

    def get(self, path: str = "") -> Any:
        with urllib.request.urlopen(f"{self.url}v1/studio{path}", timeout=60) as reply:
            return json.load(reply)

    def read_all(self) -> float:
        """Wait until all sound has vectors; returns the seconds it took."""
        begin = time.monotonic()
        while len(set(self.get()["indexed"].values())) > 1:
            time.sleep(0.5)
        return time.monotonic() - begin

    def memory_mb(self) -> float:
        return memory_mb([self.process.pid])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def serve_studio(folder: Path, port: int = 0) -> Server:
    """Start ``auricle studio`` over a folder, at a free port if 0."""
    return Server("studio", str(folder), "--no-browser", "--port", str(port))


def memory_mb(pids: list[int]) -> float:
    """Return the resident memory of processes, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def renderers() -> list[int]:
    """Return the processes of the browser that render pages of this run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"--type=renderer" in path.read_bytes() and is_ours(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


def is_ours(pid: int) -> bool:
    """Tell whether a process descends from this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


class Visitor:
    """A page, and how long what is done in it takes."""

    def __init__(self, page: Any, pictures: Path | None) -> None:
        self.page = page
        self.pictures = pictures
        self.times: dict[str, float] = {}

    def until(self, expression: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(20)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.times[name] = round(time.monotonic() - begin, 2)
        print(name, self.times[name], file=sys.stderr, flush=True)

    def picture(self, name: str, *, whole: bool = False) -> None:
        if self.pictures is not None:
            self.page.wait_for_timeout(1500)
            self.page.screenshot(path=self.pictures / f"{name}.png", full_page=whole)

    def open(self, name: str) -> None:
        self.page.fill("#recordings-find", name)
        self.page.click(".recording")
        self.until(f"document.getElementById('recording-title').textContent.endsWith({json.dumps(name)})")
        self.page.fill("#recordings-find", "")

    def drag(self, first: float, last: float) -> None:
        """Drag over shares of the width; returns when a name is asked for."""
        mouse, box = self.page.mouse, self.page.locator("#track").bounding_box()
        mouse.move(box["x"] + first * box["width"], box["y"] + 120)
        mouse.down()
        mouse.move(box["x"] + last * box["width"], box["y"] + 120, steps=5)
        mouse.up()
        self.page.wait_for_selector("#naming[open]")

    def mark(self, first: float, last: float, name: str) -> None:
        """Drag over shares of the width, and name it."""
        page = self.page
        self.drag(first, last)
        page.fill("#naming-name", name)
        page.keyboard.press("Enter")
        page.wait_for_selector("#naming:not([open])", state="attached")

    def focused(self) -> dict[str, str]:
        """Return what the page keeps of the window that has the focus."""
        found: dict[str, str] = self.page.evaluate("(({ dataset }) => ({ ...dataset }))(document.activeElement)")
        return found

    def judge(self, count: int, truth: Callable[[str, float, float, str], bool]) -> int:
        """Judge windows by keys; returns how many there were."""
        for done in range(count):
            item = self.focused()
            if item.get("verdict") != "":
                return done
            right = truth(item["path"], float(item["onset"]), float(item["offset"]), item["label"])
            self.page.keyboard.press("y" if right else "n")
        return count

    def saved(self) -> None:
        self.until("!Object.keys(localStorage).some((key) => key.startsWith('auricle.studio.outbox'))")


@contextlib.contextmanager
def visiting(pictures: Path | None, flags: Sequence[str] = ()) -> Iterator[Visitor]:
    """Start the browser with an empty page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS, *flags])
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        context.set_default_timeout(1000 * WAIT_S)
        context.add_init_script("localStorage.setItem('auricle.studio.teach-every', '0')")
        yield Visitor(context.new_page(), pictures)
        browser.close()
