"""How smooth the board is with ten thousand strokes on screen: the time between frames while one moves about and draws.

    python -m benchmarks.liveboard_canvas [--strokes N] [--seconds S]

A host of its own, a board of random strokes opened from a file, and the system's Chromium at 1440 by 900, without a
graphics processor. Each gesture is one event a frame, dispatched to the board, which does the rest as for a hand.
Prints one JSON object: per gesture `frames`, `fps`, and `p50_ms`, `p99_ms`, `max_ms` between frames; `redraw_ms` is how
long all tiles take to be drawn anew, off the page's thread; `idle` the same clock with nothing to do, the floor.
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from host.testing import host_process

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run")
WIDTH, HEIGHT = 1440, 900
UNITS = 8
POINTS = 30
TIMEOUT_MS = 120_000

# Called once a frame with the number of the frame, until the seconds are over.
GESTURES = {
    "idle": "() => {}",
    "pan": """(at) => board.dispatchEvent(new WheelEvent("wheel", { ...bubbles,
        deltaX: 24 * Math.cos(at / 40), deltaY: 18 * Math.sin(at / 25) }))""",
    "zoom": """(at) => board.dispatchEvent(new WheelEvent("wheel", { ...bubbles, ctrlKey: true,
        deltaY: at % 120 < 60 ? 8 : -8, clientX: 700, clientY: 450 }))""",
    "draw": """(at) => {
        const kind = at % 60 === 0 ? "pointerdown" : at % 60 === 59 ? "pointerup" : "pointermove";
        board.dispatchEvent(new PointerEvent(kind, { ...mouse,
            clientX: 400 + 8 * (at % 60), clientY: 500 + 120 * Math.sin(at / 9) }));
    }""",
    "drag_everything": """(at) => {
        const kind = at === 0 ? "pointerdown" : "pointermove";
        board.dispatchEvent(new PointerEvent(kind, { ...mouse,
            clientX: 700 + 200 * Math.sin(at / 20), clientY: 450 + 90 * Math.cos(at / 20) }));
    }""",
}
RUN = """
(seconds) => new Promise((done) => {
  const board = document.getElementById("above");
  board.setPointerCapture = () => {};
  const bubbles = { bubbles: true, cancelable: true };
  const mouse = { ...bubbles, pointerId: 1, pointerType: "mouse", buttons: 1, button: 0 };
  const act = GESTURE;
  const spans = [];
  const start = performance.now();
  let last = 0;
  let at = 0;
  const step = (now) => {
    if (last) spans.push(now - last);
    last = now;
    if (now - start > 1000 * seconds) return done(spans);
    act(at++);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})
"""


def drawing(count: int) -> dict[str, Any]:
    """A board file of random pen strokes, all in sight at zoom 1."""
    random = Random(7)
    colors = ("#1d1b17", "#d4453b", "#d27c00", "#2f8f4e", "#0c8577", "#2468cf", "#7247d6", "#c2417c")
    marks = []
    for _ in range(count):
        x = (random.random() - 0.5) * WIDTH * UNITS * 0.9
        y = (random.random() - 0.5) * HEIGHT * UNITS * 0.8
        way = random.random() * math.tau
        points: list[int] = []
        for _ in range(POINTS):
            points += (round(x), round(y))
            way += (random.random() - 0.5) * 0.9
            x += 28 * math.cos(way)
            y += 28 * math.sin(way)
        pressures = [random.randint(60, 180) for _ in range(POINTS)]
        style = {"color": int(random.choice(colors)[1:], 16), "size": 24, "opacity": 100}
        marks.append({"kind": "stroke", "tool": "pen", **style, "points": points, "pressures": pressures})
    return {"format": "liveboard-board-1", "title": "benchmark", "marks": marks}


def figures(spans: list[float]) -> dict[str, float]:
    ordered = sorted(spans)

    def at(part: float) -> float:
        return round(ordered[min(int(part * len(ordered)), len(ordered) - 1)], 1)

    fps = round(1000 * len(spans) / sum(spans), 1)
    return {"frames": len(spans), "fps": fps, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)}


def painted(page: Page) -> None:
    """Wait until the page shows all of its board."""
    page.wait_for_function(
        "() => (({ painted, digest }) => painted === digest)(document.querySelector('.board').dataset)",
        timeout=TIMEOUT_MS,
    )


def measure(page: Page, seconds: float, strokes: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, gesture in GESTURES.items():
        page.keyboard.press("Escape")
        page.keyboard.press("0")
        page.keyboard.press("p")
        if name == "drag_everything":
            page.keyboard.press("Control+a")
        painted(page)
        result[name] = figures(page.evaluate(RUN.replace("GESTURE", gesture), seconds))
        page.keyboard.press("Escape")
        print(name, result[name], flush=True)
    painted(page)
    started = page.evaluate("performance.now()")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("() => document.querySelector('.board').dataset.painted === ''", timeout=TIMEOUT_MS)
    painted(page)
    result["redraw_ms"] = round(page.evaluate("performance.now()") - started)
    return {"strokes": strokes, **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "board.json")
        file.write_text(json.dumps(drawing(options.strokes)))
        chromium = os.environ.get("QUARTET_CHROMIUM", CHROMIUM)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        with host_process({"liveboard": {}}, data_dir=Path(folder)) as host:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(f"{host.url}/liveboard/benchmark")
            board = page.locator(".board")
            expect(board).to_have_attribute("data-state", "live")
            with page.expect_file_chooser() as chooser:
                page.keyboard.press("Control+o")
            chooser.value.set_files(file)
            expect(board).to_have_attribute("data-rev", str(options.strokes), timeout=TIMEOUT_MS)
            painted(page)
            result = measure(page, options.seconds, options.strokes)
        browser.close()
    about = {"seconds": options.seconds, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps({**result, **about}))


if __name__ == "__main__":
    main()
