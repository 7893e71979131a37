"""The live page in a real browser: what it shows, keyboards, narrow screens, and hostile names.

Needs Chromium or Chrome on the path; without one these tests are skipped.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentos.web.page_server import LiveServer

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
HOSTILE = "<img src=x onerror=alert(1)>"
ARGUMENTS = ["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
COLOURS = (
    ("rgb(255, 255, 255)", "rgb(247, 246, 243)"),
    ("rgb(25, 29, 38)", "rgb(17, 20, 26)"),
)
"""Colours of a card and of the page behind it, light and dark, as in the reports."""
NAMES = ("numpy", HOSTILE, "a\u202eb", "</script><script>alert(2)</script>", "{{7*7}}", "x" * 300)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium or Chrome on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    (tmp_path / "runs").mkdir(exist_ok=True)
    server = LiveServer(tmp_path / "runs")
    with server.in_background():
        yield server


class Errors(list):  # type: ignore[type-arg]
    """Complaints of a page: errors, refused scripts, dialogs that it must not open."""


@pytest.fixture
def visit(browser: Any, server: LiveServer) -> Iterator[Callable[..., Any]]:
    """Open the page, or a run on it; at the end, nothing was an error and no name was run."""
    contexts, errors = [], Errors()

    def open_page(id: str = "", width: int = 1280, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 850}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
        page.goto(server.url)
        if id:
            page.goto(f"{server.url.split('?')[0]}#/{id}")
            page.wait_for_selector("canvas.society", state="visible")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def is_painted(page: Any, selector: str) -> bool:
    """Return whether a canvas holds more than one colour."""
    script = """canvas => {
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const found = new Set();
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3]) found.add(65536 * data[i] + 256 * data[i + 1] + data[i + 2]);
      }
      return found.size > 3;
    }"""
    return bool(page.locator(selector).first.evaluate(script))


@pytest.mark.parametrize(
    ("agents", "dark", "width"),
    [(6, False, 1280), (6, True, 390), (1_000, True, 1280), (1_000, False, 390)],
)
def test_run_is_shown_and_fits(
    visit: Any, pretend: Any, width: int, dark: bool, agents: int
) -> None:
    run = pretend(agents=agents, topology="small_world", rounds=9)
    for _ in range(3):
        run.round()
    run.phase("exchanging")
    page = visit("run", width, dark)
    page.wait_for_selector("canvas.curve >> nth=2")
    page.wait_for_timeout(300)
    assert is_painted(page, "canvas.society")
    assert is_painted(page, "canvas.curve")
    text = page.inner_text("main")
    assert "Round 3 of 9 · exchanging · together" in text
    assert f"{agents:,} agents" in text
    assert re.search(rf"round 2, mean of {agents:,} agents ± \d+\.\d%", text)
    assert "together: round 2 of 9" in text
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    card, behind = COLOURS[dark]
    background = "getComputedStyle(document.querySelector('{}')).backgroundColor"
    assert page.evaluate(background.format("body")) == behind
    assert page.evaluate(background.format(".card")) == card


def test_page_follows_a_run_to_its_end(visit: Any, pretend: Any) -> None:
    run = pretend(rounds=2)
    run.round()
    page = visit("run")
    page.wait_for_selector("text=0 / 2")
    run.phase("training")
    page.wait_for_selector("text=Round 1 of 2 · training · together")
    run.round(odd={1: {"absent": 1.0}, 2: {"loss": 2.0, "rejected": 3.0}})
    page.wait_for_selector("text=1 / 2")
    page.wait_for_selector("text=3 messages rejected by library-2")
    assert "away" in page.inner_text(".side")
    run.end()
    run.__exit__()
    page.wait_for_selector(".chip.finished")
    assert page.is_visible("text=Remove")
    assert not page.is_visible("button:text-is('Stop')")


def test_hostile_names_are_text(visit: Any, pretend: Any) -> None:
    run = pretend(names=NAMES)
    run.round()
    run.round(odd={1: {"loss": 2.0, "rejected": 1.0}})
    run.recorder.health(1, {}, {3: HOSTILE})
    page = visit("run")
    page.wait_for_selector(".alarms li")
    page.wait_for_selector(".agents li")
    assert HOSTILE in page.inner_text(".agents")
    assert HOSTILE in page.inner_text(".alarms")
    assert "{{7*7}}" in page.inner_text(".agents")
    assert page.locator("main img, main script").count() == 0


def test_agent_is_chosen_with_the_keyboard_and_found_by_name(visit: Any, pretend: Any) -> None:
    run = pretend(agents=60, topology="small_world")
    run.round()
    run.round()
    page = visit("run")
    page.wait_for_selector(".agents li")
    page.focus("canvas.society")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".details h3:text-is('library-1')")
    assert "sent last round" in page.inner_text(".details")
    page.keyboard.press("Escape")
    page.wait_for_selector(".details h3", state="detached")
    page.fill("input[type=search]", "library-59")
    assert page.locator(".agents li").count() == 1
    page.focus(".agents button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".details h3:text-is('library-59')")
    page.focus("canvas.curve >> nth=0")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("figcaption >> nth=0").startswith("Round 1: together")


def test_runs_are_listed_and_removed_only_when_confirmed(visit: Any, pretend: Any) -> None:
    pretend("busy").round()
    failed = pretend(f"{HOSTILE.replace('/', '')} failed")
    failed.round()
    failed.end("failed")
    failed.__exit__()
    page = visit()
    page.wait_for_selector(".chip.running")
    assert HOSTILE in page.inner_text("tbody")
    page.click("text=Remove runs that did not finish")
    assert "are removed for good" in page.inner_text("dialog")
    assert page.evaluate("document.activeElement.id") == "confirm-no"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    assert failed.directory.exists()
    page.click("tbody button:text-is('Remove')")
    page.click("#confirm-yes")
    page.wait_for_selector("tbody tr >> nth=1", state="detached")
    assert not failed.directory.exists()
    page.click("tbody a")
    page.wait_for_selector("canvas.society", state="visible")
    page.click("text=All runs")
    page.wait_for_selector("tbody tr")


def test_page_does_not_grow_over_many_events(
    visit: Any, pretend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentos.web.application._POLL_S", 0.01)
    monkeypatch.setattr("agentos.web.run_parts._FRESH_S", 0.0)
    run = pretend(agents=4, rounds=2_000)
    run.round()
    page = visit("run")

    def size_after(first: int, last: int) -> tuple[int, int]:
        with (run.directory / "metrics.jsonl").open("a") as file:
            for round in range(first, last):
                for agent in range(4):
                    row = {"round": round, "agent": f"agent-{agent}", "loss": 1.0, "rejected": 1.0}
                    file.write(json.dumps(row) + "\n")
                run.listener.on_stage(f"stage {round}")
                if round % 4 == 0 or round == last - 1:
                    file.flush()
                    time.sleep(0.02)  # an event for the page
        page.wait_for_selector(f".alarms >> text=round {last - 1}")
        page.evaluate("gc()")
        elements = page.evaluate("document.querySelectorAll('*').length")
        return elements, page.evaluate("performance.memory.usedJSHeapSize")

    # A curve has 240 points, the list of alarms 100 lines, and the log 200.
    elements, heap = size_after(1, 260)
    later = size_after(260, 520)
    assert later[0] == elements
    assert later[1] < 1.2 * heap + 500_000


def test_page_says_when_the_server_has_ended(browser: Any, pretend: Any, tmp_path: Path) -> None:
    pretend("one").round()
    pretend("two").round()
    server = LiveServer(tmp_path / "runs")
    context = browser.new_context()
    page = context.new_page()
    with server.in_background():
        page.goto(server.url)
        page.wait_for_selector("tbody tr")
        assert not page.is_visible("#offline")
    page.wait_for_selector("#offline", state="visible")
    context.close()
