// The page: what is chosen, and every panel as a function of it. Names reach the document by textContent alone.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const OPENS_ZOOMED_FROM = 200, ZOOMED_STEPS = 80, ROWS_A_PAGE = 100, LISTED = 200, FEW = 8;
const $ = (id) => document.getElementById(id);
const views = DATA.views.map(() => null);
const state = { view: 0, step: 0, range: { start: 0, stop: 1 }, stack: "kind", weights: false, only: "peak", top: 40,
  query: "", column: "bytes", isDown: true, limit: ROWS_A_PAGE, opened: new Set(), chosen: null, theme: "" };

function viewAt(place) { return (views[place] ||= new View(DATA.views[place], DATA.graphs[DATA.views[place].graph])); }
const current = () => viewAt(state.view);
const isDark = () => (state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
const theme = () => DATA.palette[isDark() && !state.isPrinting ? "dark" : "light"];

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function fill(parent, ...children) { parent.replaceChildren(...children.filter(Boolean)); return parent; }
function show(id, isThere) { $(id).hidden = !isThere; return isThere; }

function table(titles, rows, numbers = []) {
  const head = make("tr"), body = make("tbody"), found = make("table"), top = make("thead");
  titles.forEach((title, i) => head.append(make("th", title, numbers.includes(i) ? "n" : "")));
  for (const cells of rows) {
    const row = make("tr");
    cells.forEach((cell, i) => {
      const place = fill(make("td", null, numbers.includes(i) ? "n" : ""), cell);
      if (cell !== "") place.dataset.title = titles[i]; // said beside it where a narrow screen has no row of titles
      row.append(place);
    });
    body.append(row);
  }
  top.append(head);
  return fill(found, top, body);
}

// What does not change.

function writeHead() {
  document.title = `memprof: ${DATA.title}`;
  fill($("headline"), make("b", DATA.headline[0]), DATA.headline[1], DATA.headline[2] && make("code", DATA.headline[2]));
  fill($("models"), ...DATA.sides.map((side) => fill(make("p", null, "quiet"), side.label && `${side.label}: `, make("code", side.path), ` · ${side.facts}`)));
  const side = DATA.sides[DATA.sides.length - 1];
  if (DATA.sides.length === 1) fill($("tiles"), ...side.tiles.map(([name, amount, exact]) => fill(make("div"), make("dt", name), fill(make("dd"), amount, make("small", exact)))));
  if (show("changes", DATA.changes.length > 0)) {
    const titles = ["", ...DATA.change_titles, "difference"];
    const rows = DATA.changes.map(([name, before, after]) => {
      const gap = before === null || after === null ? null : after - before;
      const text = gap === null ? "not known" : gap ? `${gap > 0 ? "+" : "−"}${formatBytes(Math.abs(gap))}` : "none";
      const isJudged = DATA.change_titles[0] !== "predicted"; // a measurement is neither good nor bad
      return [name, formatBytes(before), formatBytes(after), make("span", text, isJudged && gap ? (gap > 0 ? "bad" : "good") : "")];
    });
    fill($("changes"), fill(make("div", null, "wide"), table(titles, rows, [1, 2, 3])));
  }
  const list = (id, title, titles, rows, numbers) => {
    if (!show(id, rows.length > 0)) return;
    const more = rows.length > LISTED && make("p", `showing ${LISTED} of ${formatCount(rows.length)}`, "quiet");
    fill($(id), make("h2", title), fill(make("div", null, "wide"), table(titles, rows.slice(0, LISTED), numbers)), more);
  };
  const labelled = (side, row) => (DATA.sides.length > 1 ? [side.label, ...row] : row);
  const sides = DATA.sides.length > 1 ? [""] : [];
  list("unknown", "Unknown, and what settles it", [...sides, "what", "name", "why it is not known", "what settles it"],
    DATA.sides.flatMap((side) => side.unknown.map((row) => labelled(side, row))), []);
  list("assumed", "Assumed", [...sides, "what", "name", "why", "what changes it"],
    DATA.sides.flatMap((side) => side.assumed.map((row) => labelled(side, row))), []);
  list("help", "What would help", [...sides, "change", "peak", "peak then", "weights", "runtime model", "command"],
    DATA.sides.flatMap((side) => side.help.map((row) => labelled(side, [...row.slice(0, -1), make("code", row.at(-1))]))), [1, 2, 3].map((place) => sides.length + place));
  $("help").append(...DATA.sides.flatMap((side) => side.help_notes.map((line) => make("p", line, "quiet"))));
  list("differences", "Steps that differ", ["step", "operation", "predicted", "measured"],
    DATA.differences.map(([step, name, predicted, measured]) => [formatCount(step), name, formatBytes(predicted), formatBytes(measured)]), [2, 3]);
  const isOfBytes = DATA.sides.some((side) => side.unknown.some(([kind]) => kind !== "macs"));
  if (!isOfBytes) document.querySelector("main").append($("unknown"));
  list("figures", "Besides the peak", [...sides, "what", "bytes", "grade", "what it is"],
    DATA.sides.flatMap((side) => side.figures.map((row) => labelled(side, row))), [sides.length + 1]);
  list("sweep", "Over other sizes", [...sides, "sizes", "peak", "process"],
    DATA.sides.flatMap((side) => side.sweep.map((row) => labelled(side, row))), [sides.length + 1, sides.length + 2]);
  const whose = new Set(DATA.sides.flatMap((side) => side.categories.map((row) => row[3])));
  const isOne = whose.size === 1; // said once in the title then
  list("categories", "What for, at the peak", [...sides, "", "bytes", "share", ...(isOne ? [] : ["whose"])],
    DATA.sides.flatMap((side) => side.categories.map((row) => labelled(side, isOne ? row.slice(0, 3) : row))), [sides.length + 1, sides.length + 2]);
  if (isOne) $("categories").querySelector("h2").append(make("small", [...whose][0]));
  fill($("footer"), ...DATA.footer.map(([name, text]) => fill(make("span"), `${name} `, make("code", text))));
  DATA.views.forEach((record, place) => {
    const option = make("option", `${record.side ? `${record.side}: ` : ""}${record.name}, ${record.peak}`);
    option.value = String(place);
    $("view").append(option);
  });
}

function writeRuntimes() {
  const rows = DATA.views.map((record, place) => {
    const button = make("button", `${record.side ? `${record.side}: ` : ""}${record.name}`, place === state.view ? "chosen" : "");
    button.addEventListener("click", () => chooseView(place));
    return [button, record.peak, record.grade, make("span", record.definition, "quiet")];
  });
  fill($("runtimes-table"), table(["", "peak", "grade", "what is alive when"], rows, [1]));
}

// What is chosen.

function chooseView(place) {
  const before = state.view;
  state.view = place;
  $("view").value = String(place);
  const view = current();
  const isSameModel = views[before] && views[before].steps === view.steps && before !== place;
  if (!isSameModel) { state.step = view.peakStep; resetZoom(); }
  state.opened.clear();
  state.limit = ROWS_A_PAGE;
  state.chosen = null;
  for (const id of ["with-search", "with-list", "with-top", "with-weights", "with-colours"]) show(id, current().count > 0);
  writeRuntimes();
  refresh();
}

function resetZoom() {
  const view = current();
  if (view.steps >= OPENS_ZOOMED_FROM) zoomTo(view.peakStep, ZOOMED_STEPS);
  else state.range = { start: 0, stop: view.steps };
}

function zoomTo(step, width) {
  const steps = current().steps, size = Math.max(Math.min(4, steps), Math.min(steps, Math.round(width)));
  const start = Math.max(0, Math.min(steps - size, Math.round(step - size / 2)));
  state.range = { start, stop: start + size };
}

function zoomBy(factor) {
  const { start, stop } = state.range;
  const isInside = state.step >= start && state.step < stop;
  zoomTo(isInside ? state.step : (start + stop) / 2, (stop - start) * factor);
  draw();
}

function chooseStep(step) {
  const { start, stop } = state.range;
  state.step = Math.max(0, Math.min(current().steps - 1, step));
  if (state.step < start || state.step >= stop) zoomTo(state.step, stop - start);
  refresh();
}

function chooseTensor(i) { state.chosen = i; writeTensor(); }

// Panels.

let ids = [], ranked = [], isWaiting = false;

function refresh() {
  const view = current();
  ids = view.filter(state);
  ranked = [...ids].sort((a, b) => view.bytes[b] - view.bytes[a] || view.start[a] - view.start[b] || a - b);
  writeStep();
  writeTable();
  writeModules();
  writeTensor();
  draw();
}

function draw() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => { isWaiting = false; drawAll(); });
}

let lifetimes = null, map = null;

function drawAll() {
  const view = current(), groups = view.grouping(state.stack, DATA.palette), { range, step } = state;
  const side = DATA.sides[view.record.side_index];
  const base = state.weights && side.weight_bytes ? { bytes: side.weight_bytes, colour: DATA.palette.for.parameters } : null;
  const other = otherCurve(view);
  const highest = Math.max(maximum(view.total), other ? maximum(other.values) : 0) + (base ? base.bytes : 0);
  drawCurve($("curve"), { view, groups, base, range, step, theme: theme(), highest, other: other && other.values });
  fill($("legend"), ...(base ? [entry("weights", base.colour)] : []), ...groups.names.map((name, i) => entry(name, groups.colours[i])), other && make("span", `– – ${other.name}`));
  $("curve-note").textContent = range.stop - range.start < view.steps
    ? `steps ${formatCount(range.start)} to ${formatCount(range.stop - 1)} of ${formatCount(view.steps)}` : many(view.steps, "step", "steps");
  const rows = ranked.slice(0, state.top).sort((a, b) => view.start[a] - view.start[b] || view.stop[a] - view.stop[b] || a - b);
  if (show("lifetimes-section", view.count > 0)) {
    lifetimes = { rows, ...drawLifetimes($("lifetimes"), { view, rows, groups, range, step, theme: theme(), isMarked: marksPeak() }) };
    $("lifetimes-note").textContent = `showing ${formatCount(rows.length)} of ${many(ids.length, "tensor", "tensors")}${ids.length < view.count ? `, ${formatCount(view.count)} in all` : ""}, the largest`;
  }
  if (show("map-section", Boolean(view.record.plan))) {
    const isFiltered = ids.length < view.count && state.query !== "";
    map = drawMap($("map"), { view, ids: isFiltered ? ids : null, groups, range, step, theme: theme(), onColour: DATA.palette.on_colour });
  }
  for (const canvas of document.querySelectorAll("canvas.spark")) drawSparkline(canvas, canvas.values, canvas.highest, range, theme().curve);
}

const marksPeak = () => state.only !== "peak"; // where all of a list are alive at the peak, no colour needs to say so
const aliveAtPeak = (view) => view.start.reduce((n, _, i) => n + view.isAlive(i, view.peakStep), 0);
const maximum = (values) => values.reduce((most, n) => Math.max(most, n || 0), 0);

function otherCurve(view) {
  if (view.record.measured) return { name: "measured", values: view.record.measured };
  if (view.record.pair === null) return null;
  const other = viewAt(view.record.pair);
  return { name: other.record.side || other.record.name, values: other.total };
}

function entry(name, colour) {
  const mark = make("i");
  mark.style.background = colour;
  return fill(make("span"), mark, name);
}

function writeStep() {
  const view = current(), { step } = state, ops = view.ops(step);
  const alive = [];
  for (let i = 0; i < view.count; i++) if (view.isAlive(i, step)) alive.push(i);
  const running = ops.length === 0 ? "nothing runs yet" : ops.length > 3 ? `${ops.slice(0, 3).join(", ")} and ${ops.length - 3} more` : ops.join(", ");
  const op = (view.record.steps[step] || []).map((node) => column(view.graph.nodes.op, node))[0];
  const measured = view.record.measured ? view.record.measured[step] : undefined;
  const held = view.held[step] || 0, reserved = (view.reserved[step] || 0) - held;
  const inside = (view.count && reserved ? `, ${formatBytes(reserved)} ${ARENAS.includes(view.record.name) ? "in gaps between them and scratch" : "inside the step itself"}` : "") + (held ? `, ${formatBytes(held)} held` : "");
  fill($("at"), make("b", `Step ${formatCount(step)}`), " ", make("code", running), op ? ` (${op}): ` : ": ",
    make("b", formatBytes(view.total[step])), measured !== undefined ? ` predicted, ${formatBytes(measured)} measured` : ` in ${many(alive.length, "tensor", "tensors")}${inside}`,
    step === view.peakStep ? ` · the peak${laterText(view)}` : "");
}

function laterText(view) {
  const more = view.total[view.fullStep] - view.total[view.peakStep];
  return more > 0 ? `; the block stays taken, with ${formatBytes(more)} more at step ${formatCount(view.fullStep)}` : "";
}

const COLUMNS = [
  { key: "name", title: "tensor", value: (v, i) => v.name(i), cell: (v, i) => make("code", v.name(i)) },
  { key: "bytes", title: "bytes", value: (v, i) => v.bytes[i], cell: (v, i) => (v.isKnown[i] ? formatBytes(v.bytes[i]) : "unknown"), isNumber: true },
  { key: "why", title: "why", value: (v, i) => v.stop[i], cell: (v, i) => make("span", v.cause(i, whyStep(v, i)), "quiet") },
  { key: "shape", title: "shape", value: (v, i) => v.shape(i), cell: (v, i) => v.shape(i) },
  { key: "dtype", title: "type", value: (v, i) => v.dtype(i), cell: (v, i) => v.dtype(i) },
  { key: "start", title: "steps", value: (v, i) => v.start[i], cell: (v, i) => `${formatCount(v.start[i])} to ${formatCount(Math.max(v.start[i], v.stop[i] - 1))}`, isNumber: true },
  { key: "producer", title: "written by", value: (v, i) => nodeName(v, v.producer(i)), cell: (v, i) => make("code", nodeName(v, v.producer(i))) },
  { key: "readers", title: "read by", value: (v, i) => v.readers(i).length, cell: (v, i) => make("span", readersText(v, i, 2)) },
  { key: "line", title: "line of code", value: (v, i) => v.line(i), cell: (v, i) => make("code", v.line(i)) },
  { key: "module", title: "module", value: (v, i) => v.module(i), cell: (v, i) => make("code", v.module(i)) },
];

const nodeName = (view, node) => (node === null ? "the caller" : view.graph.nodes.name[node]);
const whyStep = (view, i) => (view.isAlive(i, state.step) ? state.step : view.isAlive(i, view.peakStep) ? view.peakStep : view.start[i]);

function readersText(view, i, most) {
  const readers = view.readers(i).map((node) => view.graph.nodes.name[node]);
  if (!readers.length) return "nobody";
  return readers.length > most ? `${readers.slice(0, most).join(", ")} and ${readers.length - most} more` : readers.join(", ");
}

function sorted(view) {
  const chosen = COLUMNS.find(({ key }) => key === state.column);
  const keys = new Map(ids.map((i) => [i, chosen.value(view, i)]));
  const turn = state.isDown ? -1 : 1;
  return [...ids].sort((a, b) => {
    const x = keys.get(a), y = keys.get(b);
    return x < y ? -turn : x > y ? turn : a - b;
  });
}

function writeTable() {
  const view = current();
  if (!show("tensors", view.count > 0)) return;
  const shown = (state.column === "bytes" && state.isDown ? ranked : sorted(view)).slice(0, state.limit);
  const head = make("tr"), body = make("tbody"), top = make("thead");
  const columns = COLUMNS.filter(({ key }) => (key !== "module" || view.hasModules) && (key !== "line" || view.graph.nodes.line));
  for (const { key, title, isNumber } of columns) {
    const isSorted = key === state.column;
    const button = make("button", `${title}${isSorted ? (state.isDown ? " ▾" : " ▴") : ""}`, "sort");
    const cell = make("th", null, isNumber ? "n" : "");
    if (isSorted) cell.setAttribute("aria-sort", state.isDown ? "descending" : "ascending");
    button.addEventListener("click", () => {
      state.isDown = isSorted ? !state.isDown : Boolean(isNumber);
      state.column = key;
      writeTable();
    });
    head.append(fill(cell, button));
  }
  for (const i of shown) {
    const row = make("tr", null, marksPeak() && view.isAlive(i, view.peakStep) ? "peak" : "");
    for (const { cell, isNumber, key } of columns) {
      const content = cell(view, i);
      row.append(content instanceof Node ? fill(make("td", null, key), content) : make("td", content, isNumber ? "n" : ""));
    }
    row.addEventListener("click", () => chooseTensor(i));
    body.append(row);
  }
  top.append(head);
  fill($("tensor-table"), top, body);
  $("tensors-note").textContent = `showing ${formatCount(shown.length)} of ${many(ids.length, "tensor", "tensors")}${ids.length < view.count ? `, ${formatCount(view.count)} in all` : ""}`;
  show("more", shown.length < ids.length);
}

function writeTensor() {
  const view = current(), i = state.chosen;
  if (!show("tensor", i !== null && i < view.count)) return;
  const others = view.record.buffers.values[i].slice(1).map((id) => view.graph.values.name[id]);
  const rows = [
    ["bytes", view.isKnown[i] ? `${formatBytes(view.bytes[i])}, ${formatCount(view.bytes[i])}` : "unknown"],
    ["type", `${view.dtype(i)} ${view.shape(i)}`],
    ["steps", `${formatCount(view.start[i])} to ${formatCount(Math.max(view.start[i], view.stop[i] - 1))}`],
    ["written by", nodeName(view, view.producer(i))],
    ["read by", readersText(view, i, 12)],
    ["line of code", view.line(i)],
    ["module", view.module(i) || "none"],
    ["shares its bytes with", others.slice(0, 12).join(", ") + (others.length > 12 ? ` and ${others.length - 12} more` : "")],
    ["address", view.record.plan && view.record.plan.offsets[i] !== null ? formatCount(view.record.plan.offsets[i]) : ""],
    [`why at step ${formatCount(whyStep(view, i))}`, view.cause(i, whyStep(view, i))],
  ].filter(([, text]) => text);
  const close = make("button", "close");
  close.addEventListener("click", () => chooseTensor(null));
  const list = make("dl");
  for (const [name, text] of rows) list.append(make("dt", name), make("dd", text));
  fill($("tensor"), fill(make("h3"), make("code", view.name(i)), close), list);
}

function writeModules() {
  const view = current();
  if (!show("modules", view.hasModules)) return;
  const every = Array.from({ length: view.count }, (_, i) => i);
  const body = make("tbody"), head = make("tr"), top = make("thead"), found = make("table");
  ["module", `at step ${formatCount(state.step)}`, "most", "over the steps shown"].forEach((title, i) => head.append(make("th", title, i === 1 || i === 2 ? "n" : "")));
  const total = view.total[state.step];
  addModules(body, view, "", every, total, 0);
  top.append(head);
  fill($("module-table"), fill(found, top, body));
}

function addModules(body, view, path, below, total, depth) {
  const rows = [...view.modulesBelow(path, below)].map(([name, members]) => {
    const bytes = members.reduce((sum, i) => sum + (view.isAlive(i, state.step) ? view.bytes[i] : 0), 0);
    return { name, members, bytes, size: members.reduce((sum, i) => sum + view.bytes[i], 0) };
  }).sort((a, b) => b.bytes - a.bytes || b.size - a.size);
  for (const { name, members, bytes } of rows.slice(0, 40)) {
    const row = make("tr"), label = make("td"), key = `${path}/${name ?? "."}`, isOpen = state.opened.has(key);
    const hasInner = name !== null && members.some((i) => view.module(i) !== name);
    label.style.paddingLeft = `${depth * 1.1}rem`;
    const text = name === null ? (path === "" ? "no module" : "itself") : name.slice(path === "" ? 0 : path.length + 1);
    const part = hasInner ? make("button", `${isOpen ? "▾" : "▸"} ${text}`, "fold") : make("span", text);
    if (hasInner) {
      part.setAttribute("aria-expanded", String(isOpen));
      part.addEventListener("click", () => {
        state.opened[isOpen ? "delete" : "add"](key);
        writeModules();
        draw();
      });
    }
    const line = timelineOf(view, members), spark = make("canvas", null, "spark");
    spark.values = line;
    spark.highest = view.total[view.peakStep];
    const share = total ? ` ${Math.round((100 * bytes) / total)}%` : "";
    row.append(fill(label, part), make("td", bytes ? formatBytes(bytes) + share : "–", "n"), make("td", formatBytes(maximum(line)), "n"), fill(make("td", null, "line"), spark));
    body.append(row);
    if (isOpen && hasInner) addModules(body, view, name, members, total, depth + 1);
  }
  if (rows.length > 40) body.append(fill(make("tr"), make("td", `showing 40 of ${formatCount(rows.length)} modules, the largest at this step`, "quiet")));
}

function timelineOf(view, members) {
  const change = new Float64Array(view.steps + 1);
  for (const i of members) { change[view.start[i]] += view.bytes[i]; change[view.stop[i]] -= view.bytes[i]; }
  for (let step = 1; step < view.steps; step++) change[step] += change[step - 1];
  return change.subarray(0, view.steps);
}

// Hands on mouse and keys.

function tell(event, ...lines) {
  const tip = $("tip");
  if (!show("tip", lines.length > 0)) return;
  fill(tip, ...lines.map((line, i) => make(i ? "div" : "b", line)));
  const { innerWidth, innerHeight } = window, box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18}px`;
}

const placeIn = (event) => { const box = event.currentTarget.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top, width: box.width }; };

function tellTensor(event, view, i) {
  tell(event, view.name(i), `${view.isKnown[i] ? formatBytes(view.bytes[i]) : "unknown size"}, ${view.dtype(i)} ${view.shape(i)}`,
    `steps ${formatCount(view.start[i])} to ${formatCount(Math.max(view.start[i], view.stop[i] - 1))}`, view.cause(i, whyStep(view, i)));
}

function wireCurve() {
  const canvas = $("curve");
  let from = null;
  const stepAt = (event) => { const { x, width } = placeIn(event); return scaleOf(state.range, width).step(x); };
  canvas.addEventListener("pointerdown", (event) => { from = { step: stepAt(event), x: event.clientX }; });
  canvas.addEventListener("pointermove", (event) => {
    const view = current(), step = stepAt(event), groups = view.grouping(state.stack, DATA.palette);
    const parts = groups.names.map((name, g) => [name, groups.series[g][step]]).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
    if (from && Math.abs(event.clientX - from.x) > 5) {
      return tell(event, `steps ${formatCount(Math.min(from.step, step))} to ${formatCount(Math.max(from.step, step))}`, "let go to zoom in");
    }
    return tell(event, `step ${formatCount(step)}: ${formatBytes(view.total[step])}`, view.ops(step).slice(0, 3).join(", "), ...parts.slice(0, 6).map(([name, n]) => `${name} ${formatBytes(n)}`));
  });
  canvas.addEventListener("pointerup", (event) => {
    const step = stepAt(event);
    if (from && Math.abs(event.clientX - from.x) > 5) {
      const start = Math.min(from.step, step), stop = Math.max(from.step, step) + 1;
      zoomTo((start + stop) / 2, stop - start);
      draw();
    } else chooseStep(step);
    from = null;
  });
  canvas.addEventListener("pointerleave", (event) => { from = null; tell(event); });
  canvas.addEventListener("dblclick", () => { state.range = { start: 0, stop: current().steps }; draw(); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomBy(event.deltaY > 0 ? 1.5 : 1 / 1.5);
  }, { passive: false });
}

function wireOthers() {
  const rowAt = (event) => (lifetimes ? lifetimes.rows[lifetimes.rowAt(placeIn(event).y)] : undefined);
  $("lifetimes").addEventListener("pointermove", (event) => { const i = rowAt(event); if (i === undefined) tell(event); else tellTensor(event, current(), i); });
  $("lifetimes").addEventListener("click", (event) => { const i = rowAt(event); if (i !== undefined) chooseTensor(i); });
  const bufferAt = (event) => {
    const { x, y } = placeIn(event), view = current(), step = map.scale.step(x), at = map.address(y), { offsets } = view.record.plan;
    for (let i = 0; i < view.count; i++) if (view.isAlive(i, step) && offsets[i] !== null && offsets[i] <= at && at < offsets[i] + view.bytes[i]) return i;
    return undefined;
  };
  $("map").addEventListener("pointermove", (event) => { const i = bufferAt(event); if (i === undefined) tell(event); else tellTensor(event, current(), i); });
  $("map").addEventListener("click", (event) => { const i = bufferAt(event); if (i !== undefined) chooseTensor(i); });
  for (const id of ["lifetimes", "map"]) $(id).addEventListener("pointerleave", (event) => tell(event));
  $("view").addEventListener("change", () => chooseView(Number($("view").value)));
  $("stack").addEventListener("change", () => { state.stack = $("stack").value; draw(); });
  $("weights").addEventListener("change", () => { state.weights = $("weights").checked; draw(); });
  $("only").addEventListener("change", () => { state.only = $("only").value; state.limit = ROWS_A_PAGE; refresh(); });
  $("top").addEventListener("change", () => { state.top = Number($("top").value); draw(); });
  $("search").addEventListener("input", () => { state.query = $("search").value; if (state.query) { state.only = "all"; $("only").value = "all"; } state.limit = ROWS_A_PAGE; refresh(); });
  $("more").addEventListener("click", () => { state.limit += 5 * ROWS_A_PAGE; writeTable(); });
  $("zoom-peak").addEventListener("click", () => toPeak());
  $("zoom-all").addEventListener("click", () => { state.range = { start: 0, stop: current().steps }; draw(); });
  $("zoom-in").addEventListener("click", () => zoomBy(0.5));
  $("zoom-out").addEventListener("click", () => zoomBy(2));
  $("theme").addEventListener("click", () => { state.theme = isDark() ? "light" : "dark"; document.documentElement.dataset.theme = state.theme; draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("resize", draw);
  window.addEventListener("beforeprint", () => { state.isPrinting = true; drawAll(); });
  window.addEventListener("afterprint", () => { state.isPrinting = false; drawAll(); });
}

function toPeak() {
  const view = current();
  state.step = view.peakStep;
  zoomTo(view.peakStep, Math.min(ZOOMED_STEPS, view.steps));
  refresh();
}

const KEYS = {
  ArrowLeft: () => chooseStep(state.step - 1),
  ArrowRight: () => chooseStep(state.step + 1),
  PageUp: () => chooseStep(state.step - 10),
  PageDown: () => chooseStep(state.step + 10),
  "+": () => zoomBy(0.5),
  "=": () => zoomBy(0.5),
  "-": () => zoomBy(2),
  0: () => $("zoom-all").click(),
  p: () => toPeak(),
  r: () => chooseView((state.view + 1) % DATA.views.length),
  "/": () => $("search").focus(),
  Escape: () => { chooseTensor(null); $("tip").hidden = true; },
};

function wireKeys() {
  document.addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping) { if (event.key === "Escape") { event.target.blur(); } return; }
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

writeHead();
if (aliveAtPeak(viewAt(DATA.first)) < FEW) state.only = $("only").value = "all"; // two bars in an empty panel say little
wireCurve();
wireOthers();
wireKeys();
chooseView(DATA.first);
requestAnimationFrame(() => requestAnimationFrame(() => { document.documentElement.dataset.ready = String(Math.round(performance.now())); }));
