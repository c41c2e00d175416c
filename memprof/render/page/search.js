"use strict";
// The page of a search: a front to point at, every round, every network. Text reaches the page as text alone.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.networks.map((found) => [found.id, found]));
const $ = (id) => document.getElementById(id);
let chosen = data.best ?? data.leader ?? null;

function make(name, text, type) {
  const found = document.createElement(name);
  if (text !== undefined && text !== null) found.textContent = text;
  if (type) found.className = type;
  return found;
}
function draw(name, attributes, text) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (text !== undefined) found.textContent = text;
  return found;
}
const percent = (value) => (value === null || value === undefined ? "" : `${(100 * value).toFixed(2)} %`);
const signed = (value) => (value === null || value === undefined ? "" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`);
function bytes(value) {
  for (const [factor, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])
    if (value >= factor) return `${Number((value / factor).toPrecision(3))} ${unit}`;
  return `${value} B`;
}
const size = (found, what) => (what === "total" ? found.params + found.peak : found[what]);
const height = (found) => found.worth ?? found.accuracy;

function table(columns, rows, pick) {
  const found = make("table"), head = make("tr");
  for (const [name, type] of columns) head.append(make("th", name, type));
  found.append(make("thead"));
  found.tHead.append(head);
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.cells.forEach((cell, i) => {
      const place = make("td", undefined, columns[i][1]);
      if (i === row.button && byId.has(row.id)) {
        const button = make("button", cell, row.id === chosen ? "chosen" : "");
        button.addEventListener("click", () => choose(row.id));
        place.append(button);
      } else place.textContent = cell ?? "";
      line.append(place);
    });
    body.append(line);
  }
  found.append(body);
  return found;
}

function ticks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const step of high / low > 30 ? [1] : high / low > 5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8])
      if (step * 10 ** power >= low && step * 10 ** power <= high) found.push(step * 10 ** power);
  return found;
}

/** Two to five round shares between two; the ends of a span that holds none. */
function roundShares(low, high) {
  for (const step of [0.25, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]) {
    const first = Math.ceil(low / step - 1e-9), count = Math.floor(Math.min(high, 1) / step + 1e-9) - first + 1;
    if (count >= 3) return Array.from({ length: count }, (_, i) => (first + i) * step);
  }
  return [low, high];
}
const share = (value) => `${Number((100 * value).toFixed(1))} %`;

function plot(width, tall, label) {
  return draw("svg", { viewBox: `0 0 ${width} ${tall}`, width: "100%", height: tall, role: "img", "aria-label": label });
}
const write = (x, y, text, more = {}) => draw("text", { x, y, fill: "var(--muted)", "font-size": 12, ...more }, text);

function drawFront() {
  const place = $("front"), what = $("bytes").value, round = $("round").value;
  const width = Math.max(280, place.clientWidth), tall = Math.max(260, Math.min(460, width * 0.55));
  const shown = data.networks.filter((found) => height(found) !== null && height(found) > 0 && !found.base && (!round || found.round === Number(round)));
  const svg = plot(width, tall, "Accuracy against bytes; the table of networks says the same");
  $("front-note").textContent = `${shown.length} of ${data.networks.length} networks have an accuracy and are shown`;
  place.replaceChildren(svg);
  if (!shown.length) return;
  const left = 52, right = 18, top = 14, bottom = 34;
  const xs = shown.map((found) => size(found, what)), ys = shown.map(height);
  const low = Math.min(...xs) / 1.15, high = Math.max(...xs) * 1.15;
  const gap = Math.max(0.01, (Math.max(...ys) - Math.min(...ys)) * 0.1);
  const floor = Math.max(0, Math.min(...ys) - gap), roof = Math.min(1 + gap / 2, Math.max(...ys) + gap);
  const x = (value) => left + ((Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (width - left - right);
  const y = (value) => tall - bottom - ((value - floor) / (roof - floor)) * (tall - top - bottom);
  for (const value of roundShares(floor, roof)) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "var(--rule)" }));
    svg.append(write(left - 6, y(value) + 4, share(value), { "text-anchor": "end" }));
  }
  let last = -100;
  for (const value of ticks(low, high)) {
    if (x(value) - last < 52) continue;
    last = x(value);
    svg.append(write(x(value), tall - 12, bytes(value), { "text-anchor": "middle" }));
  }
  const stairs = [...shown].filter((found) => found.worth !== null).sort((a, b) => size(a, what) - size(b, what) || b.worth - a.worth);
  let best = -1, path = "";
  for (const found of stairs) {
    if (found.worth <= best) continue;
    path += best < 0 ? `M${x(size(found, what))},${y(found.worth)}` : `H${x(size(found, what))}V${y(found.worth)}`;
    best = found.worth;
  }
  if (path) svg.append(draw("path", { d: `${path}H${width - right}`, fill: "none", stroke: "var(--curve)", "stroke-width": 1.5, class: "stairs" }));
  const ordered = [...shown].sort((a, b) => Number(a.front) - Number(b.front) || Number(a.id === chosen) - Number(b.id === chosen));
  const labels = [];
  for (const found of ordered) {
    const cx = x(size(found, what)), cy = y(height(found)), isWhole = found.worth !== null;
    const colour = found.id === data.best ? "var(--accent)" : found.front ? "var(--curve)" : "var(--muted)";
    const disc = draw("circle", { cx, cy, r: found.front ? 6 : 4, fill: isWhole ? colour : "none", stroke: colour, "stroke-width": 1.5, cursor: "pointer", "data-id": found.id });
    disc.append(draw("title", {}, `candidate ${found.id}: ${percent(height(found))}, ${bytes(size(found, what))}`));
    disc.addEventListener("click", () => choose(found.id));
    svg.append(disc);
    if (found.id === chosen) svg.append(draw("circle", { cx, cy, r: 10, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, "pointer-events": "none" }));
    if ((found.front || found.id === chosen) && labels.every(([a, b]) => Math.abs(a - cx) > 26 || Math.abs(b - cy) > 13)) {
      labels.push([cx, cy]);
      svg.append(write(cx + (cx > width - 60 ? -11 : 11), cy - 7, String(found.id), { fill: "var(--ink)", "text-anchor": cx > width - 60 ? "end" : "start", class: "id" }));
    }
  }
}

function drawNetwork() {
  const place = $("network"), found = byId.get(chosen);
  if (!found) return;
  place.replaceChildren(make("h2", `Network ${found.id}`));
  const facts = make("dl", undefined, "tiles");
  const lines = [
    ["round", found.round],
    ["status", found.message ? `${found.status}: ${found.message}` : found.status],
    ["worth", percent(found.worth)],
    ["validation accuracy", percent(found.accuracy)],
    ["predicted", percent(found.predicted)],
    ["parameters", bytes(found.params)],
    ["peak", bytes(found.peak)],
    ["epochs, inherited too", found.epochs],
  ];
  for (const [name, value] of lines) {
    if (value === "") continue;
    const pair = make("div");
    pair.append(make("dt", name), make("dd", value));
    facts.append(pair);
  }
  place.append(facts);
  const cells = make("p");
  for (const line of found.cells) cells.append(make("code", line), make("br"));
  place.append(cells);
  const lives = data.lifetimes[found.id];
  if (!lives) {
    place.append(make("p", "Lifetimes are in this page for networks of the front.", "quiet"));
    return;
  }
  place.append(make("h2", "Lifetimes"));
  const width = Math.max(280, place.clientWidth - 28), row = Math.max(3, Math.min(14, 420 / lives.rows.length)), tall = lives.rows.length * row + 20;
  const svg = plot(width, tall, `A bar per tensor from its first step to its last, the peak at step ${lives.peak}`);
  const most = Math.max(...lives.rows.map((each) => each[3]));
  lives.rows.forEach(([name, start, stop, amount], i) => {
    const isAlive = start <= lives.peak && lives.peak < stop;
    const bar = draw("rect", { x: (start / lives.steps) * width, y: i * row + 1, width: Math.max(1.5, ((stop - start) / lives.steps) * width - 1), height: Math.max(1.5, row - 2), fill: isAlive ? "var(--accent)" : "var(--bar)", opacity: 0.35 + 0.65 * (amount / most) });
    bar.append(draw("title", {}, `${name}: ${bytes(amount)}, steps ${start} to ${stop}`));
    svg.append(bar);
  });
  svg.append(write(0, tall - 4, width < 420 ? `colour: alive at the peak, step ${lives.peak}` : `${lives.rows.length} tensors over ${lives.steps} steps; colour: alive at the peak, step ${lives.peak}`));
  place.append(svg);
}

function drawLambda() {
  if (!data.sweep.length) return;
  $("lambda").hidden = false;
  const place = $("lambda-plot"), width = Math.max(280, place.clientWidth), tall = 200;
  const svg = plot(width, tall, "Accuracy against lambda; the table below says the same");
  const ys = data.sweep.map((found) => found.accuracy), low = Math.min(...ys) - 0.01, high = Math.max(...ys) + 0.01;
  const x = (value) => 52 + value * (width - 80), y = (value) => tall - 30 - ((value - low) / (high - low)) * (tall - 50);
  for (const value of roundShares(low, high)) {
    svg.append(draw("line", { x1: 46, x2: width - 20, y1: y(value), y2: y(value), stroke: "var(--rule)" }));
    svg.append(write(42, y(value) + 4, share(value), { "text-anchor": "end" }));
  }
  for (const value of [0, 0.25, 0.5, 0.75, 1]) svg.append(write(x(value), tall - 8, value, { "text-anchor": "middle" }));
  const own = data.sweep.filter((found) => found.candidate !== null);
  svg.append(draw("path", { d: own.map((found, i) => `${i ? "L" : "M"}${x(found.lambda)},${y(found.accuracy)}`).join(""), fill: "none", stroke: "var(--curve)" }));
  for (const found of data.sweep) svg.append(draw("circle", { cx: x(found.lambda), cy: y(found.accuracy), r: 5, fill: found.candidate === null ? "none" : "var(--curve)", stroke: "var(--curve)" }));
  place.replaceChildren(svg);
  const rows = data.sweep.map((found) => ({ id: found.candidate, button: 1, cells: [found.lambda, found.candidate ?? "another search's best", percent(found.accuracy), bytes(found.total)] }));
  $("lambda").querySelector(".wide").replaceChildren(table([["lambda", "n"], ["network"], ["accuracy", "n"], ["parameters and peak", "n"]], rows));
}

function drawTables() {
  const rounds = data.rounds.map((found) => ({ id: found.winner, button: 1, cells: [found.round, found.winner, found.change, found.base, found.considered, found.rejected, found.trained, found.failed, signed(found.score)] }));
  $("rounds").querySelector(".wide").replaceChildren(table([["round", "n"], ["winner"], ["what changed"], ["base", "n"], ["considered", "n"], ["left out", "n"], ["trained", "n"], ["failed", "n"], ["against its base", "n"]], rounds));
  const standings = data.standings.map((found) => ({ id: found.candidate, button: 0, cells: [found.candidate, percent(found.accuracy), percent(found.error), `${found.trainings} of ${found.epochs} epochs`, bytes(found.total), signed(found.score)] }));
  $("tournament").hidden = !standings.length;
  $("tournament").querySelector(".wide").replaceChildren(table([["network"], ["accuracy", "n"], ["standard error", "n"], ["trainings", "n"], ["parameters and peak", "n"], ["metric", "n"]], standings));
  const round = $("round").value, shown = data.networks.filter((found) => !round || found.round === Number(round));
  $("networks-note").textContent = `showing ${shown.length} of ${data.networks.length}`;
  const networks = shown.map((found) => ({ id: found.id, button: 0, cells: [found.id, found.round, found.base ? "base, trained on" : found.status, percent(found.worth), percent(found.accuracy), bytes(found.params), bytes(found.peak), found.front ? "on the front" : ""] }));
  $("networks").querySelector(".wide").replaceChildren(table([["network"], ["round", "n"], ["status"], ["worth", "n"], ["accuracy", "n"], ["parameters", "n"], ["peak", "n"], [""]], networks));
}

function drawAll() {
  drawFront();
  drawNetwork();
  drawTables();
  drawLambda();
}
function choose(id) {
  chosen = id;
  drawAll();
}

$("headline").textContent = data.headline;
document.title = data.title;
$("state").textContent = `${data.title}; ${data.state}`;
for (const [name, value] of data.tiles) {
  const pair = make("div");
  pair.append(make("dt", name), make("dd", value));
  $("tiles").append(pair);
}
for (const found of data.rounds) {
  const option = make("option", String(found.round));
  option.value = String(found.round);
  $("round").append(option);
}
for (const [name, value] of data.footer) $("footer").append(make("span", `${name} ${value}`));
for (const id of ["bytes", "round"]) $(id).addEventListener("change", drawAll);
$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
});
addEventListener("resize", () => requestAnimationFrame(drawAll));
addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key) || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const what = $("bytes").value, front = data.networks.filter((found) => found.front).sort((a, b) => size(a, what) - size(b, what));
  const place = front.findIndex((found) => found.id === chosen), step = event.key === "ArrowRight" ? 1 : -1;
  if (front.length) choose(front[Math.min(front.length - 1, Math.max(0, place + step))].id);
});
drawAll();
document.documentElement.dataset.ready = "";
