# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: no error in its console, and its script and sound work."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from auricle.reports.detection import detection_page

pytestmark = pytest.mark.browser

#: Presses keys on the picture and clicks into it, then writes what came of it where the test can read it.
PROBE = """
<script>
window.addEventListener("load", () => {
  const audio = document.getElementById("audio");
  const track = document.getElementById("track");
  const press = (key) => track.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const seen = {};
  setTimeout(() => {
    seen.duration = audio.duration;
    press("ArrowRight");
    seen.right = audio.currentTime;
    press("End");
    seen.end = audio.currentTime;
    press("Home");
    seen.home = audio.currentTime;
    const box = track.getBoundingClientRect();
    track.dispatchEvent(new MouseEvent("click", { clientX: box.left + 0.25 * box.width }));
    seen.click = Math.round(audio.currentTime * 100) / 100;
    seen.value = track.getAttribute("aria-valuenow");
    const lane = document.querySelector(".lane").getBoundingClientRect();
    const span = document.querySelector(".found").getBoundingClientRect();
    seen.place = Math.round((100 * (span.left - lane.left)) / lane.width);
    document.title = JSON.stringify(seen);
  }, 1000);
});
</script>
"""


@pytest.fixture
def chromium():
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed; apt install chromium")
    return found


def test_clicks_and_keys_move_through_the_sound(chromium, tmp_path, recording, scores, found, truth):
    path = tmp_path / "page.html"
    values = {"samples": recording, "sample_rate": 8_000, "scores": scores, "events": found, "truth": truth}
    detection_page(path, **values, title="Two seconds", facts={})
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
        *("--autoplay-policy=no-user-gesture-required", "--disable-audio-output"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000", "--dump-dom", path.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert title[1] == ('{"duration":2,"right":1,"end":2,"home":0,"click":0.5,"value":"0.5","place":25}')
