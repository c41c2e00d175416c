// Canvases: the curve, the lifetimes, the address map. All share the steps across; each draws what it is given.
"use strict";

const FONT = "11px system-ui, sans-serif";
const LEFT = 62, RIGHT = 10, AXIS = 18, ROW = 15;

/** A canvas as wide as its box, in CSS pixels whatever the screen's are. */
function prepare(canvas, height) {
  const width = Math.max(240, canvas.parentElement.clientWidth);
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = FONT;
  pen.textBaseline = "middle";
  return { pen, width, height };
}

/** The place of a step, and the step at a place. */
function scaleOf(range, width, left = LEFT) {
  const unit = (width - left - RIGHT) / Math.max(1, range.stop - range.start);
  return {
    unit,
    left,
    x: (step) => left + (step - range.start) * unit,
    step: (x) => Math.min(range.stop - 1, Math.max(range.start, Math.floor(range.start + (x - left) / unit))),
  };
}

function niceTicks(highest, count) {
  if (highest <= 0) return [0];
  const power = 10 ** Math.floor(Math.log10(highest / count));
  const step = Math.max(1, [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => highest / n <= count) || power);
  return Array.from({ length: Math.floor(highest / step) + 1 }, (_, i) => i * step);
}

function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let kept = text.length;
  while (kept > 1) {
    kept = Math.floor(kept * 0.9);
    const tail = Math.ceil(kept / 2);
    const shown = `${text.slice(0, kept - tail)}…${text.slice(text.length - tail)}`;
    if (pen.measureText(shown).width <= width) return shown;
  }
  return "";
}

function drawStepAxis({ pen, width, height }, range, theme, left = LEFT) {
  const scale = scaleOf(range, width, left);
  pen.fillStyle = theme.muted;
  pen.textAlign = "center";
  const ticks = niceTicks(range.stop - range.start, Math.max(2, Math.floor(width / 110)));
  const every = Math.max(1, Math.round(ticks[1] || 1));
  for (let step = Math.ceil(range.start / every) * every; step < range.stop; step += every) {
    const x = scale.x(step + 0.5), text = formatCount(step);
    const half = pen.measureText(text).width / 2;
    if (x + half <= width) pen.fillText(text, Math.max(x, left + half - 8), height - AXIS / 2 + 1);
  }
}

function drawByteAxis({ pen, width }, top, bottom, highest, theme) {
  const y = (n) => bottom - (bottom - top) * (n / (highest || 1));
  pen.textAlign = "right";
  for (const tick of niceTicks(highest, 4)) {
    pen.strokeStyle = theme.rule;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(LEFT, Math.round(y(tick)) + 0.5);
    pen.lineTo(width - RIGHT, Math.round(y(tick)) + 0.5);
    pen.stroke();
    pen.fillStyle = theme.muted;
    pen.fillText(formatTick(tick), LEFT - 6, y(tick));
  }
  return y;
}

/** For each pixel column the step it shows: of those in it the highest, so that no peak is lost. */
function pooledSteps(total, range, columns) {
  const n = range.stop - range.start;
  if (n <= columns) return Array.from({ length: n }, (_, i) => range.start + i);
  return Array.from({ length: columns }, (_, c) => {
    let best = range.start + Math.floor((c * n) / columns);
    const stop = range.start + Math.floor(((c + 1) * n) / columns);
    for (let step = best + 1; step < stop; step++) if (total[step] > total[best]) best = step;
    return best;
  });
}

/** The memory curve, stacked; a second curve as a line over it; the peak and the chosen step marked. */
function drawCurve(canvas, { view, groups, base, other, range, step, theme, highest }) {
  const frame = prepare(canvas, 230), { pen, width } = frame;
  const top = 20, bottom = frame.height - AXIS;
  const y = drawByteAxis(frame, top, bottom, highest, theme);
  const scale = scaleOf(range, width);
  const shown = pooledSteps(view.total, range, Math.max(1, Math.floor(width - LEFT - RIGHT)));
  const unit = (width - LEFT - RIGHT) / shown.length;
  const level = shown.map(() => 0);
  const series = base ? [{ colour: base.colour, at: () => base.bytes }] : [];
  groups.series.forEach((values, group) => series.push({ colour: groups.colours[group], at: (s) => values[s] }));
  for (const { colour, at } of series) {
    pen.fillStyle = colour;
    pen.beginPath();
    shown.forEach((s, i) => {
      const low = level[i];
      level[i] += at(s);
      if (level[i] > low) pen.rect(LEFT + i * unit, y(level[i]), unit + 0.35, y(low) - y(level[i]));
    });
    pen.fill();
  }
  if (other) {
    pen.strokeStyle = theme.ink;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 3]);
    pen.beginPath();
    let isDown = false;
    const plus = base ? base.bytes : 0;
    pooledSteps(other, { start: range.start, stop: Math.min(range.stop, other.length) }, shown.length).forEach((s) => {
      if (s >= other.length || other[s] === null) { isDown = false; return; }
      pen[isDown ? "lineTo" : "moveTo"](scale.x(s), y(other[s] + plus));
      pen.lineTo(scale.x(s + 1), y(other[s] + plus));
      isDown = true;
    });
    pen.stroke();
    pen.setLineDash([]);
  }
  markStep(frame, scale, range, step, top, bottom, theme);
  if (view.peakStep >= range.start && view.peakStep < range.stop) {
    const x = scale.x(view.peakStep + 0.5);
    const text = `▼ peak ${view.record.peak}, step ${formatCount(view.peakStep)}`;
    pen.font = `600 ${FONT}`;
    pen.fillStyle = theme.accent;
    const size = pen.measureText(text).width, mark = pen.measureText("▼").width / 2;
    const isRight = x - mark + size > width - RIGHT;
    pen.textAlign = isRight ? "right" : "left";
    pen.fillText(isRight ? text.slice(2) + " ▼" : text, isRight ? x + mark : x - mark, 8);
    pen.font = FONT;
  }
  drawStepAxis(frame, range, theme);
}

function markStep({ pen }, scale, range, step, top, bottom, theme) {
  if (step < range.start || step >= range.stop) return;
  const wide = Math.max(1.5, scale.unit);
  pen.fillStyle = theme.ink;
  pen.globalAlpha = 0.16;
  pen.fillRect(scale.x(step) - (wide - scale.unit) / 2, top, wide, bottom - top);
  pen.globalAlpha = 1;
  pen.fillRect(Math.round(scale.x(step + 0.5)), top, 1, bottom - top);
}

/** A bar per buffer, from its first step to its last; a name beside it where there is room. */
function drawLifetimes(canvas, { view, rows, groups, range, step, theme, isMarked }) {
  const height = Math.max(2, rows.length) * ROW + AXIS + 4;
  const frame = prepare(canvas, height), { pen, width } = frame;
  const left = width > 700 ? 220 : width > 480 ? 130 : 92;
  const scale = scaleOf(range, width, left);
  markStep(frame, scale, range, step, 0, height - AXIS, theme);
  rows.forEach((i, row) => {
    const y = 2 + row * ROW;
    const from = Math.max(view.start[i], range.start), to = Math.min(view.stop[i], range.stop);
    const isAlive = view.isAlive(i, view.peakStep);
    pen.fillStyle = isAlive ? (isMarked ? theme.accent : theme.ink) : theme.muted;
    pen.textAlign = "right";
    pen.fillText(cut(pen, view.shortName(i), left - 10), left - 6, y + ROW / 2 - 1);
    pen.fillStyle = groups.colours[groups.index[i]] || theme.bar;
    if (to > from) pen.fillRect(scale.x(from), y, Math.max(1.5, (to - from) * scale.unit - 0.5), ROW - 4);
    if (!view.isKnown[i] && to > from) {
      pen.fillStyle = theme.paper;
      for (let x = scale.x(from); x < scale.x(to); x += 6) pen.fillRect(x, y, 2, ROW - 4);
    }
    const room = to > from ? width - RIGHT - scale.x(to) : 0, size = view.isKnown[i] ? formatBytes(view.bytes[i]) : "unknown";
    if (room > pen.measureText(size).width + 8) {
      pen.fillStyle = theme.muted;
      pen.textAlign = "left";
      pen.fillText(size, scale.x(to) + 4, y + ROW / 2 - 1);
    }
  });
  drawStepAxis(frame, range, theme, left);
  return { scale, rowAt: (y) => Math.floor((y - 2) / ROW) };
}

/** Every buffer of the arena at its address; labels where a rectangle has room for one. */
function drawMap(canvas, { view, ids, groups, range, step, theme, onColour }) {
  const frame = prepare(canvas, 320), { pen, width } = frame;
  const { offsets, arena_bytes: arena, lower_bound_bytes: bound } = view.record.plan;
  const top = 14, bottom = frame.height - AXIS;
  const y = drawByteAxis(frame, top, bottom, arena, theme), scale = scaleOf(range, width);
  pen.fillStyle = groups.scratch;
  for (const [offset, size, start, stop] of view.record.plan.others) {
    if (stop <= range.start || start >= range.stop) continue;
    const x = scale.x(Math.max(start, range.start));
    pen.fillRect(x, y(offset + size), Math.max(1, scale.x(Math.min(stop, range.stop)) - x), y(offset) - y(offset + size));
  }
  const isWanted = ids === null ? null : new Set(ids);
  pen.strokeStyle = theme.paper;
  pen.lineWidth = view.count > 2000 ? 0.2 : 0.8;
  for (let i = 0; i < view.count; i++) {
    if (view.stop[i] <= range.start || view.start[i] >= range.stop || offsets[i] === null) continue;
    const x = scale.x(Math.max(view.start[i], range.start));
    const wide = Math.max(1, scale.x(Math.min(view.stop[i], range.stop)) - x);
    const high = y(offsets[i]) - y(offsets[i] + view.bytes[i]);
    pen.globalAlpha = isWanted && !isWanted.has(i) ? 0.18 : 1;
    pen.fillStyle = groups.colours[groups.index[i]] || theme.bar;
    pen.fillRect(x, y(offsets[i] + view.bytes[i]), wide, high);
    if (wide > 3 && high > 3) pen.strokeRect(x, y(offsets[i] + view.bytes[i]), wide, high);
    if (wide > 40 && high > 13) {
      pen.fillStyle = onColour;
      pen.textAlign = "left";
      pen.fillText(cut(pen, view.shortName(i), wide - 8), x + 4, y(offsets[i] + view.bytes[i] / 2));
    }
  }
  pen.globalAlpha = 1;
  pen.fillStyle = theme.ink;
  pen.fillRect(LEFT, y(arena) - 1, width - LEFT - RIGHT, 1);
  pen.textAlign = "right";
  const text = bound < arena ? `arena ${formatBytes(arena)}, no smaller than ${formatBytes(bound)}` : `arena ${formatBytes(arena)}: no arena is smaller`;
  pen.fillText(text, width - RIGHT, 6);
  markStep(frame, scale, range, step, top, bottom, theme);
  drawStepAxis(frame, range, theme);
  return { scale, address: (at) => (arena * (bottom - at)) / (bottom - top) };
}

/** A line of a module's bytes over the steps, in a table cell. */
function drawSparkline(canvas, values, highest, range, colour) {
  const { pen, width, height } = prepare(canvas, 18);
  const shown = pooledSteps(values, range, width);
  pen.fillStyle = colour;
  shown.forEach((s, i) => {
    const high = highest ? (height * values[s]) / highest : 0;
    if (high > 0) pen.fillRect((i * width) / shown.length, height - Math.max(0.7, high), width / shown.length + 0.3, Math.max(0.7, high));
  });
}
