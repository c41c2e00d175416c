"""The interactive page: its size, how long writing it takes, and how long a browser takes until it answers.

    python benchmarks/page.py [--save]   needs playwright and an installed Chromium; benchmarks/results/page.json

The yardstick in the same run is the browser itself: the same data parsed and its names put into a plain table
of its first 100 rows. A line per number of tensors; the ratio is to that table.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from memprof import Graph, GraphBuilder, TensorType, analyze
from memprof.ir import NewValue
from memprof.render.page import report_page, write_page

TENSORS = (0, 1, 5_000, 100_000)
_RESULTS = Path(__file__).parent / "results" / "page.json"
_PLAIN = """<!doctype html><meta charset="utf-8"><table id="rows"></table>
<script type="application/json" id="data">{}</script>
<script>
const data = JSON.parse(document.getElementById("data").textContent);
for (const name of data.graphs[0].values.name.slice(0, 100)) {{
  const row = document.getElementById("rows").insertRow();
  row.insertCell().textContent = name;
}}
requestAnimationFrame(() => requestAnimationFrame(() => {{
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}}));
</script>
"""


def network(count: int) -> Graph:
    """Return operations in modules, each of which reads the one before and the very first, with ``count`` tensors."""
    builder = GraphBuilder("network")
    if not count:
        return builder.build([])
    first = last = builder.add_input("x", TensorType("float32", (256,)))
    for i in range(count - 1):
        type_ = TensorType("float32", (64 + i % 7, 4))
        module = f"block{i // 40}.layer{i % 3}"
        (made,) = builder.add_node("Conv", [first, last], [NewValue(f"t{i}", type_)], name=f"op{i}", module=module)
        assert made is not None
        last = made
    return builder.build([last])


def ready_ms(browser: Any, path: Path) -> int:
    """Return milliseconds from the start of the page to its first drawn frame, the best of three."""
    found = []
    for _ in range(3):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=120_000)
        found.append(int(page.evaluate("document.documentElement.dataset.ready")))
        page.close()
    return min(found)


def main() -> None:
    """Print a line per number of tensors, then all of it as JSON."""
    sync_playwright: Any = import_module("playwright.sync_api").sync_playwright  # here: it comes with the dev extra
    path = shutil.which("chromium") or shutil.which("google-chrome")
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        version = browser.version
        print(f"Chromium {version}")
        print(f"{'tensors':>8} {'file':>10} {'written':>9} {'ready':>9} {'plain table':>12} {'ratio':>6}")
        for count in TENSORS:
            report = analyze(network(count), runtimes=("reference",))
            began = time.perf_counter()
            stream = io.StringIO()
            write_page(report_page(report), stream)
            written = time.perf_counter() - began
            full, plain = Path(folder, "page.html"), Path(folder, "plain.html")
            full.write_text(stream.getvalue(), encoding="utf-8")
            data = json.dumps(report_page(report).to_json()).replace("<", "\\u003c")
            plain.write_text(_PLAIN.format(data), encoding="utf-8")
            ready, yardstick = ready_ms(browser, full), ready_ms(browser, plain)
            row = {
                "tensors": count,
                "file_bytes": len(stream.getvalue().encode()),
                "write_seconds": round(written, 3),
                "ready_ms": ready,
                "plain_table_ms": yardstick,
                "ratio": round(ready / yardstick, 2),
            }
            rows.append(row)
            print(
                f"{count:>8,} {row['file_bytes']:>10,} {written:>7.2f} s {ready:>6} ms {yardstick:>9} ms "
                f"{ready / yardstick:>6.2f}"
            )
        browser.close()
    print(json.dumps(rows))
    if "--save" in sys.argv[1:]:
        _RESULTS.write_text(json.dumps({"chromium": version, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
