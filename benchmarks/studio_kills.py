# SPDX-License-Identifier: Apache-2.0
"""Verdicts given through the studio's page while its server is killed: are the labels those that were pressed?

SIGKILL comes at random moments, some of them while a verdict is being stored; keys go on being pressed while nobody
answers, and the server starts again. In the end the file must hold each verdict that was pressed once, and no other.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from auricle.studio.project import DATABASE, OWN_FOLDER
from benchmarks.studio_browser import Visitor, serve_studio

KILLS = 10
#: Seconds of pressing keys before a kill, and keys that are pressed while no server answers.
SOONEST_S, LATEST_S = 0.3, 2.5
WITHOUT_SERVER = 3
KEYS = {"y": "yes", "n": "no", "u": "unsure"}


def labels_in(folder: Path) -> Counter[tuple[str, float, float, str, str]]:
    """Return path, onset, offset, class and verdict of what stands in the project's file."""
    file = f"file:{folder / OWN_FOLDER / DATABASE}?mode=ro"
    query = (
        "SELECT path, round(onset, 6), round(offset, 6), label, verdict FROM labels "
        "JOIN recordings ON recordings.id = recording"
    )
    with contextlib.closing(sqlite3.connect(file, uri=True)) as database:
        return Counter(tuple(row) for row in database.execute(query))


class Presser:
    """Presses random keys on the windows of a search; keeps what was pressed."""

    def __init__(self, visitor: Visitor, rng: random.Random) -> None:
        self._visitor = visitor
        self._rng = rng
        self.pressed: Counter[tuple[str, float, float, str, str]] = Counter()

    def press(self) -> bool:
        """Judge the window that has the focus; False where there is none without a verdict."""
        item = self._visitor.focused()
        if item.get("verdict") != "":
            return False
        key = self._rng.choice(list(KEYS))
        self._visitor.page.keyboard.press(key)
        place = item["path"], round(float(item["onset"]), 6), round(float(item["offset"]), 6), item["label"]
        self.pressed[(*place, KEYS[key])] += 1
        return True

    def press_until(self, stopped: threading.Event) -> None:
        """Judge window after window; looks for more where all are judged."""
        while not stopped.is_set():
            if not self.press():  # a search waits for verdicts on their way, so that a kill may find it waiting
                self._visitor.page.evaluate("document.getElementById('search').click()")
            self._visitor.page.wait_for_timeout(self._rng.randint(5, 120))


def measure_kills(visitor: Visitor, folder: Path, label: str) -> dict[str, Any]:
    """Return how many verdicts were pressed over the kills; fails where the file holds anything else.

    Args:
        visitor: with a browser.
        folder: a project in which the class has examples.
        label: the class.
    """
    rng, page = random.Random(1), visitor.page
    server = serve_studio(folder)
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    before = labels_in(folder)
    page.goto(f"{server.url}#find")
    visitor.until("document.documentElement.dataset.ready === 'yes'")
    page.click(f"#classes button:has-text('{label}')")
    presser, under_way = Presser(visitor, rng), 0
    for _ in range(KILLS):
        page.wait_for_selector("#search:not([disabled])")
        page.click("#search")
        page.wait_for_selector("#grid li[data-verdict='']:focus")
        killed = threading.Event()

        def kill(process: Any = server.process, done: threading.Event = killed) -> None:
            process.kill()
            done.set()

        threading.Timer(rng.uniform(SOONEST_S, LATEST_S), kill).start()
        presser.press_until(killed)
        server.process.wait()
        for _ in range(WITHOUT_SERVER):
            presser.press()
        kept = page.evaluate("Object.keys(localStorage).some((key) => key.startsWith('auricle.studio.outbox'))")
        under_way += bool(kept)
        server = serve_studio(folder, port)
        page.evaluate("document.getElementById('unsaved-retry').click()")
        visitor.saved()
    found = labels_in(folder) - before
    server.stop()
    lost, more = presser.pressed - found, found - presser.pressed
    assert not lost, f"not in the file: {lost}"
    assert not more, f"never pressed: {more}"
    return {"kills": KILLS, "verdicts": presser.pressed.total(), "with_waiting": under_way}
