"""Chromium without a window. It shows what a page looks like at each width, and which errors it reports."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from postgres import give_up

REQUIRED = "MIGRATOR_REQUIRE_BROWSER"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")
SECONDS = 120

_MEASURE = """<!DOCTYPE html><meta charset="utf-8"><title>measure</title><pre id="seen"></pre><script>
const widths = WIDTHS, seen = [];
const frames = widths.map(width => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    seen.push({
      width, scrolls: root.scrollWidth, height: root.scrollHeight,
      drawn: [...page.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().height > 40).length,
      paper: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
      ink: frame.contentWindow.getComputedStyle(page.body).color,
      outside: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name),
    });
    done();
  };
  frame.src = "PAGE";
  document.body.append(frame);
}));
Promise.all(frames).then(() => {
  seen.sort((one, other) => widths.indexOf(one.width) - widths.indexOf(other.width));
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
</script>"""


def chromium() -> str:
    """The program. Skips the test if there is none, or fails it if MIGRATOR_REQUIRE_BROWSER=1."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    give_up("no Chromium is installed", REQUIRED)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP, so that one page may read another."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="migrator-browser-") as profile:
        command = [chromium(), *_FLAGS, f"--user-data-dir={profile}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)


def looked_at(page: str, *widths: int, dark: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """How a page looks at each width, and what the console says: errors of scripts and styles, refused loads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "page.html").write_text(page)
        (folder / "measure.html").write_text(
            _MEASURE.replace("WIDTHS", json.dumps(widths)).replace("PAGE", "page.html")
        )
        with _served(folder) as url:
            scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
            # The page has a virtual clock, which waits until everything is loaded.
            shown = _run(*scheme, "--virtual-time-budget=10000", "--dump-dom", f"{url}/measure.html")
    seen = shown.stdout.split('<pre id="seen">')[1].split("</pre>")[0]
    return json.loads(seen), [line for line in shown.stderr.splitlines() if "CONSOLE" in line]


_PART = """<!DOCTYPE html><meta charset="utf-8"><style>body { margin: 0; overflow: hidden }
iframe { width: 100vw; height: 12000px; border: 0; position: absolute; top: 0 }</style><iframe></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const part = frame.contentDocument.getElementById("PART");
  if (part) frame.style.top = `${-part.getBoundingClientRect().top + 20}px`;
};
frame.src = "page.html";
</script>"""


def photographed(page: str, picture: Path, width: int, height: int, *, dark: bool = False, part: str = "") -> None:
    """Write a picture of a page, from its top or from the element with the id ``part`` on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "page.html").write_text(page)
        (folder / "part.html").write_text(_PART.replace("PART", part))
        with _served(folder) as url:
            scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
            size, target = f"--window-size={width},{height}", f"--screenshot={picture.absolute()}"
            _run(scheme, size, "--virtual-time-budget=10000", target, f"{url}/part.html")
