# SPDX-License-Identifier: Apache-2.0
"""The studio in a real browser: examples are marked, windows judged by keys, a model taught, reviewed and used."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import zipfile
from collections import Counter

import numpy as np
import pytest
import soundfile
from helpers.axe import axe_source, serious_violations
from helpers.serving import wait_for
from helpers.studios import RATE, beeps, serving

from auricle.studio.project import Studio

pytestmark = pytest.mark.browser

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WAIT_MS = 60_000
#: Recordings with the sound that is looked for, and where it begins in them.
BEEPS = {f"beep{n}.wav": [1.0, 4.0] for n in range(6)} | {"long.wav": [10.0, 50.0, 90.0]}
LENGTHS = {"long.wav": 100.0}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Beeps in noise, hisses in noise, and a long recording with three beeps."""
    folder = tmp_path_factory.mktemp("yard")
    for number, (name, at) in enumerate(BEEPS.items()):
        soundfile.write(folder / name, beeps(LENGTHS.get(name, 6.0), at, seed=number), RATE)
    for number in range(8):
        hiss = beeps(6.0, [], seed=50 + number)
        hiss[2 * RATE : 4 * RATE] += 0.1 * np.random.default_rng(number).standard_normal(2 * RATE).astype(np.float32)
        soundfile.write(folder / f"hiss{number}.wav", hiss, RATE)
    return folder


@pytest.fixture
def project(template, tmp_path):
    """The studio of a copy, and the address of its server."""
    folder = shutil.copytree(template, tmp_path / "yard")
    with Studio(folder, by="ann") as studio, serving(studio) as running:
        wait_for(lambda: len({*studio.state()["indexed"].values()}) == 1, 300)
        yield running


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=WAIT_MS)
        yield browser
        browser.close()


def open_page(browser, project, **options):
    """Return the page of a project, which teaches when asked only; errors of its scripts are in ``page.wrong``."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(WAIT_MS)
    context.add_init_script("localStorage.setItem('auricle.studio.teach-every', '0')")
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(str(project.http.base_url))
    until(page, "document.documentElement.dataset.ready === 'yes'")
    return page


@pytest.fixture
def page(browser, project):
    page = open_page(browser, project)
    yield page
    page.context.close()
    assert page.wrong == []


def until(page, expression: str) -> None:
    """Wait for an expression; the page's policy forbids the usual way, which evaluates it inside."""
    for _ in range(WAIT_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def open_recording(page, name: str) -> None:
    page.fill("#recordings-find", name)
    page.click(".recording")
    until(page, f"document.getElementById('recording-title').textContent === {json.dumps(name)}")
    page.fill("#recordings-find", "")


def mark_by_mouse(page, first: float, last: float, name: str, duration: float = 6.0) -> None:
    """Drag over a part of the recording that is shown whole, and name it."""
    box = page.locator("#track").bounding_box()
    x, y = (lambda second: box["x"] + box["width"] * second / duration), box["y"] + 100
    page.mouse.move(x(first), y)
    page.mouse.down()
    page.mouse.move(x((first + last) / 2), y)
    page.mouse.move(x(last), y)
    page.mouse.up()
    name_it(page, name)


def name_it(page, name: str) -> None:
    page.wait_for_selector("#naming[open]")
    page.fill("#naming-name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#naming:not([open])", state="attached")


def five_examples(page) -> None:
    for number in range(3):
        open_recording(page, f"beep{number}.wav")
        mark_by_mouse(page, 1.0, 1.5, "beep")
        if number < 2:
            mark_by_mouse(page, 4.0, 4.5, "beep")
    saved(page, 5)


def saved(page, yes: int) -> None:
    """Wait until the page says that so many examples are stored."""
    until(page, f"document.querySelector('#classes .yes')?.textContent === '✓ {yes}'")


def rows(project) -> list[tuple]:
    """Return what stands in the file, read past the server."""
    with sqlite3.connect(f"file:{project.studio.database}?mode=ro", uri=True) as database:
        query = (
            "SELECT recordings.path, labels.onset, labels.offset, labels.label, labels.verdict, labels.source "
            "FROM labels JOIN recordings ON recordings.id = labels.recording"
        )
        return sorted(database.execute(query).fetchall())


def is_beep(path: str, onset: float, offset: float) -> bool:
    return any(at < offset and onset < at + 0.5 for at in BEEPS.get(path, []))


def judge(page, count: int, source: str) -> list[tuple]:
    """Judge windows by the truth, by keys alone; returns what was pressed."""
    pressed = []
    for _ in range(count):
        item = page.evaluate("(({ dataset }) => ({ ...dataset }))(document.activeElement)")
        if item.get("verdict") != "":
            break
        path, onset, offset = item["path"], float(item["onset"]), float(item["offset"])
        key, verdict = ("y", "yes") if is_beep(path, onset, offset) else ("n", "no")
        pressed.append((path, onset, offset, item["label"], verdict, source))
        page.keyboard.press(key)
    return pressed


def settled(page) -> None:
    until(page, "!Object.keys(localStorage).some((key) => key.startsWith('auricle.studio.outbox'))")


def test_the_loop_from_five_examples_to_files(page, project):
    five_examples(page)
    expected = rows(project)
    assert [row[3:] for row in expected] == [("beep", "yes", "drawn")] * 5
    for path, onset, offset, *_ in expected:
        assert min(abs(onset - at) for at in BEEPS[path]) < 0.05
        assert offset - onset == pytest.approx(0.5, abs=0.05)

    page.click("#search")
    page.wait_for_selector("#grid li:focus")
    expected += judge(page, 20, "search")
    assert len(expected) >= 20
    settled(page)
    assert same(rows(project), expected)

    page.click("#tab-teach")
    page.click("#teach")
    page.wait_for_selector("#grid li:focus")
    until(page, "document.getElementById('model-state').textContent.includes('taught')")
    reasons = Counter(page.locator("#grid .reason").all_inner_texts())
    assert set(reasons) <= {"least sure", "surest", "random"}
    expected += judge(page, 20, "queue")
    settled(page)
    assert same(rows(project), expected)
    page.click("#teach")
    until(page, "!document.getElementById('teach').disabled")

    page.click("#tab-review")
    page.click("#detect")
    until(page, "document.querySelectorAll('#grid li').length > 0")
    page.focus("#grid li[aria-selected=true]")
    reviewed = judge(page, 10, "review")
    settled(page)
    judged = {row[:4]: row for row in [*expected, *reviewed]}  # a detection may be a window that has been judged
    assert same(rows(project), list(judged.values()))
    page.fill("#wanted", "60")
    page.click("#tune")
    until(page, "document.getElementById('tuned').textContent !== ''")

    page.click("#tab-use")
    assert str(project.studio.folder) in page.inner_text("#commands")
    page.click("#cutouts-form button")
    until(page, "document.getElementById('cutouts-done').textContent.includes(' in ')")
    yes = sum(row[4] == "yes" for row in rows(project))
    assert page.inner_text("#cutouts-done").startswith(f"{yes} file")
    downloads = {}
    for name in ("csv", "json", "raven", "audacity"):
        with page.expect_download() as download:
            page.click(f"#step-use [data-format={name}]")
        downloads[name] = download.value.path().read_bytes()
    assert downloads["csv"].count(b"\n") >= yes
    json.loads(downloads["json"].splitlines()[0])
    for name in ("raven", "audacity"):
        assert zipfile.ZipFile(io.BytesIO(downloads[name])).namelist()


def same(found: list[tuple], expected: list[tuple]) -> bool:
    """Tell whether rows are equal, times to a microsecond."""

    def rounded(table):
        return sorted((path, round(a, 6), round(b, 6), *others) for path, a, b, *others in table)

    assert rounded(found) == rounded(expected)
    return True


def test_a_mark_by_keys_alone(page, project):
    open_recording(page, "long.wav")
    page.focus("#track")
    for key in ("ArrowRight", "ArrowRight", "r", "ArrowRight", "ArrowRight", "ArrowRight", "r"):
        page.keyboard.press(key)
    page.wait_for_selector("#naming[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#naming:not([open])", state="attached")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "End of the mark"
    page.keyboard.press("ArrowLeft")  # a hundredth of the view
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    name_it(page, "beep")
    saved(page, 1)
    assert same(rows(project), [("long.wav", 3.0, 4.0, "beep", "yes", "drawn")])
    page.focus(".region .chip")
    page.keyboard.press("Shift+ArrowLeft")
    until(page, "document.querySelector('.region .start').getAttribute('aria-valuetext') === '0:02.00'")
    wait_for(lambda: rows(project)[0][1] == 2.0)
    page.keyboard.press("Delete")
    wait_for(lambda: rows(project) == [])


def test_other_unsure_and_undo(page, project):
    five_examples(page)
    open_recording(page, "hiss0.wav")
    mark_by_mouse(page, 2.0, 4.0, "hiss")
    until(page, "document.querySelectorAll('#classes li').length === 2")
    before = rows(project)
    page.click("#classes li:first-child button")
    page.click("#search")
    page.wait_for_selector("#grid li:focus")
    first, second = page.locator("#grid li").all()[:2]
    where = [tuple(card.get_attribute(f"data-{name}") for name in ("path", "onset")) for card in (first, second)]
    page.keyboard.press("2")  # the second class, by its number
    page.keyboard.press("u")
    settled(page)
    new = Counter((row[0], row[3], row[4]) for row in rows(project)) - Counter(
        (row[0], row[3], row[4]) for row in before
    )
    path, other = where[0][0], where[1][0]
    assert new == Counter({(path, "beep", "no"): 1, (path, "hiss", "yes"): 1, (other, "beep", "unsure"): 1})
    assert "→ hiss" in first.inner_text()
    page.keyboard.press("z")
    until(page, "document.querySelectorAll('#grid li')[1].dataset.verdict === ''")
    page.keyboard.press("z")
    until(page, "document.querySelectorAll('#grid li')[0].dataset.verdict === ''")
    wait_for(lambda: rows(project) == before)

    page.keyboard.press("n")
    settled(page)
    mark_by_mouse(page, 4.5, 5.5, "hiss")
    settled(page)
    assert len(rows(project)) == len(before) + 2
    page.focus("#track")
    page.keyboard.press("Control+z")
    wait_for(lambda: len(rows(project)) == len(before) + 1)
    assert page.evaluate("document.querySelectorAll('#grid li')[0].dataset.verdict") == "no", (
        "the mark was the last change"
    )


def test_verdicts_without_a_server_are_kept_and_sent_again(page, project):
    five_examples(page)
    page.click("#search")
    page.wait_for_selector("#grid li:focus")
    page.context.set_offline(True)
    pressed = judge(page, 3, "search")
    until(page, "!document.getElementById('unsaved').hidden")
    assert "3 changes wait to be saved" in page.inner_text("#unsaved")
    assert len(rows(project)) == 5
    page.context.set_offline(False)
    page.evaluate("document.getElementById('unsaved-retry').click()")
    until(page, "document.getElementById('unsaved').hidden")
    settled(page)
    assert same([row for row in rows(project) if row[5] == "search"], pressed)


def test_a_phone_marks_by_finger_and_shows_all_of_it(browser, project):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    page = open_page(browser, project, **phone)
    for step in ("find", "teach", "review", "use"):
        page.click(f"#tab-{step}")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.click("#tab-find")
    page.click("#mark")  # until then a finger moves the view
    page.locator("#track").scroll_into_view_if_needed()
    box, touch = page.locator("#track").bounding_box(), page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.3), ("touchMove", 0.5), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["x"] + share * box["width"], "y": box["y"] + 80}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    name_it(page, "beep")
    saved(page, 1)
    ((_path, onset, offset, *_),) = rows(project)
    assert (onset, offset) == (pytest.approx(1.2, abs=0.05), pytest.approx(3.0, abs=0.05))
    page.context.close()
    assert page.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_state(browser, project, scheme):
    axe_source()
    page = open_page(browser, project, color_scheme=scheme, bypass_csp=True)
    found = serious_violations(page, "empty")
    open_recording(page, "beep0.wav")
    box = page.locator("#track").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 90, steps=4)
    page.mouse.up()
    page.wait_for_selector("#naming[open]")
    found += serious_violations(page, "naming")
    name_it(page, "beep")
    saved(page, 1)
    open_recording(page, "hiss0.wav")
    mark_by_mouse(page, 2.0, 4.0, "hiss")
    page.locator(".region .chip").focus()
    found += serious_violations(page, "marked")
    page.click("#search")
    page.wait_for_selector("#grid li:focus")
    for key in "ynu":
        page.keyboard.press(key)
    found += serious_violations(page, "search")
    settled(page)
    page.context.set_offline(True)
    page.keyboard.press("y")
    until(page, "!document.getElementById('unsaved').hidden")
    found += serious_violations(page, "unsaved")
    page.context.set_offline(False)
    settled(page)
    page.click("#tab-teach")
    page.click("#teach")
    page.wait_for_selector("#grid li:focus")
    found += serious_violations(page, "queue")
    page.click("#tab-review")
    page.click("#detect")
    until(page, "document.querySelectorAll('#grid li').length > 0 || document.getElementById('work').hidden")
    found += serious_violations(page, "review")
    page.click("#tab-use")
    found += serious_violations(page, "use")
    page.context.close()
    assert page.wrong == []
    assert found == []
