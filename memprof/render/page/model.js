// The data of the page as columns, and what is asked of them. No drawing and no document here.
"use strict";

const ORDER = ["parameters", "optimizer state", "gradients", "saved activations", "activations", "inputs", "outputs",
  "other", "scratch"];
const SHOWN_MODULES = 8;
const ARENAS = ["tflm", "litert"]; // their peak is the highest address in use, gaps included

/** Bytes with a decimal unit and three significant digits, as everywhere in memprof. */
function formatBytes(n) {
  if (n === null || n === undefined) return "unknown";
  if (Math.abs(n) < 1000) return `${n} B`;
  let value = n, unit = "";
  for (unit of ["kB", "MB", "GB", "TB", "PB", "EB"]) {
    value /= 1000;
    if (Math.abs(value) < 999.5) break;
  }
  const size = Math.abs(value);
  return `${value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${unit}`;
}

/** Bytes on an axis: round numbers without their noughts. */
const formatTick = (n) => (n ? formatBytes(n).replace(/(\.[0-9]*?)0+(?= )/, "$1").replace(/\.(?= )/, "") : "0");

const formatCount = (n) => n.toLocaleString("en-US");
const many = (n, one, more) => (n === 1 ? `1 ${one}` : `${formatCount(n)} ${more}`);

/** One runtime model's answer, made ready: columns by buffer, bytes by step. Made once, on first use. */
class View {
  constructor(record, graph) {
    this.record = record;
    this.graph = graph;
    const { values, start, stop, bytes } = record.buffers;
    this.count = values.length;
    this.start = Int32Array.from(start);
    this.stop = Int32Array.from(stop);
    this.bytes = Float64Array.from(bytes, (n) => n || 0);
    this.isKnown = bytes.map((n) => n !== null);
    this.first = values.map((ids) => ids[0]);
    this.steps = Math.max(1, record.steps.length);
    this.stepOf = new Int32Array(graph.nodes.name.length).fill(-1);
    record.steps.forEach((nodes, step) => nodes.forEach((node) => { this.stepOf[node] = step; }));
    this.outputs = new Set(graph.outputs);
    this.reserved = record.reserved;
    this.total = this.timelineOf(null, 0);
    if (this.reserved.length) this.reserved.forEach((n, step) => { this.total[step] += n; });
    this.held = record.held;
    const used = this.held.length ? this.total.map((n, step) => n - this.held[step]) : this.total;
    this.peakStep = 0; // of one block held all along, the step that fills it
    this.fullStep = 0; // where it takes most, with what came beside it
    for (let step = 1; step < this.steps; step++) {
      if (used[step] > used[this.peakStep]) this.peakStep = step;
      if (this.total[step] > this.total[this.fullStep]) this.fullStep = step;
    }
    this.groupings = {};
    this.hasModules = this.first.some((_, i) => this.module(i) !== "");
  }

  name(i) { return this.graph.values.name[this.first[i]]; }
  /** What a person calls it: what a session made and numbered, or named after its type, after what it runs. */
  shortName(i) {
    const name = this.name(i), node = this.producer(i);
    if (node === null) return name;
    if (/^reorder(_token_[0-9]+)?$/.test(name)) return this.graph.nodes.name[node].replace(/_nchwc$/, "") || name;
    const op = `/${column(this.graph.nodes.op, node)}`;
    return name.length > op.length && name.endsWith(op) ? name.slice(0, -op.length) : name;
  }
  /** The line of the model's own code that asked for what writes a buffer. */
  line(i) { return this.producer(i) === null || !this.graph.nodes.line ? "" : column(this.graph.nodes.line, this.producer(i)); }
  module(i) { return column(this.graph.values.module, this.first[i]); }
  type(i) { return column(this.graph.values.type, this.first[i]); }
  dtype(i) { return this.type(i)[0] || "unknown"; }
  shape(i) {
    const shape = this.type(i)[1];
    return shape === null ? "unknown" : shape.length ? shape.map((dim) => (dim === null ? "?" : dim)).join("×") : "scalar";
  }
  producer(i) { return this.graph.values.producer[this.first[i]]; }
  isAlive(i, step) { return this.start[i] <= step && step < this.stop[i]; }
  ops(step) { return (this.record.steps[step] || []).map((node) => this.graph.nodes.name[node]); }

  /** Ids of the operations that read a buffer, in running order. */
  readers(i) {
    const found = new Set();
    for (const value of this.record.buffers.values[i]) for (const node of this.consumers(value)) found.add(node);
    return [...found].filter((node) => this.stepOf[node] >= 0).sort((a, b) => this.stepOf[a] - this.stepOf[b]);
  }

  consumers(value) {
    if (!this.graph.readers) {
      const found = this.graph.values.name.map(() => null);
      this.graph.nodes.reads.forEach((reads, node) => reads.forEach((id) => (found[id] ||= []).push(node)));
      this.graph.readers = found;
    }
    return this.graph.readers[value] || [];
  }

  /** Why a buffer is there at a step, in one sentence; the words are those of memprof's other reports. */
  cause(i, step) {
    const names = this.graph.nodes.name, producer = this.producer(i), readers = this.readers(i);
    const born = producer === null ? "given by the caller"
      : `${this.start[i] === step ? "being written" : "written"} by ${names[producer]}`;
    if (this.record.buffers.values[i].some((id) => this.outputs.has(id))) return `${born}; a graph output, kept to the end`;
    if (!readers.length) return `${born}; nobody reads it`;
    const last = this.stepOf[readers[readers.length - 1]]; // they are in running order
    const reader = names[readers.find((node) => this.stepOf[node] === last)];
    const waits = last - step;
    if (waits < 0) return `${born}; read for the last time by ${reader}, and still held by the code that called it`;
    if (waits === 0) return `${born}; being read for the last time, by ${reader}`;
    return `${born}; waits ${waits} more ${waits === 1 ? "step" : "steps"} for ${reader}`;
  }

  /** Bytes alive at each step of the buffers whose group is `wanted`; of all of them without groups. */
  timelineOf(groups, wanted) {
    const change = new Float64Array(this.steps + 1);
    for (let i = 0; i < this.count; i++) {
      if (groups !== null && groups[i] !== wanted) continue;
      change[this.start[i]] += this.bytes[i];
      change[this.stop[i]] -= this.bytes[i];
    }
    for (let step = 1; step < this.steps; step++) change[step] += change[step - 1];
    return change.subarray(0, this.steps);
  }

  kind(i) { return column(this.record.kinds, i); }

  /** What the curve is stacked by: names, colours, the group of each buffer, bytes of each group by step. */
  grouping(by, palette) {
    if (this.groupings[by]) return this.groupings[by];
    const found = this.groupsBy(by, palette);
    found.series = found.names.map((_, group) => this.timelineOf(found.index, group));
    const add = (name, colour, series) => {
      if (!series.some((n) => n > 0)) return;
      found.names.push(name);
      found.colours.push(palette.for[colour]);
      found.series.push(Float64Array.from(series));
    };
    const inside = this.held.length ? this.reserved.map((n, step) => n - this.held[step]) : this.reserved;
    const beside = ARENAS.includes(this.record.name) ? "gaps and scratch" : "scratch";
    add(this.count ? beside : "predicted", this.count ? "scratch" : "activations", inside);
    add("held", "held", this.held);
    found.scratch = palette.for.scratch;
    this.groupings[by] = found;
    return found;
  }

  groupsBy(by, palette) {
    if (by === "module") return this.commonGroups(this.foldedModules(), "no module", palette);
    if (by === "operator") return this.commonGroups(this.operators(), "given by the caller", palette);
    return by === "none" ? this.oneGroup(palette) : this.kindGroups(palette);
  }

  oneGroup(palette) {
    return { names: ["tensors"], colours: [palette.for.activations], index: new Uint8Array(this.count) };
  }

  kindGroups(palette) {
    const kinds = Array.from({ length: this.count }, (_, i) => this.kind(i));
    const names = ORDER.filter((kind) => kinds.includes(kind));
    const places = Object.fromEntries(names.map((kind, place) => [kind, place]));
    return { names, colours: names.map((kind) => palette.for[kind]), index: Uint8Array.from(kinds, (kind) => places[kind]) };
  }

  operators() {
    const { op } = this.graph.nodes;
    return Array.from({ length: this.count }, (_, i) => (this.producer(i) === null ? "" : column(op, this.producer(i))));
  }

  /** Module paths, cut to as few parts as tell three groups apart. */
  foldedModules() {
    const paths = Array.from({ length: this.count }, (_, i) => this.module(i));
    let depth = 1;
    const fold = (path) => path.split(".").slice(0, depth).join(".");
    while (depth < 6 && new Set(paths.map(fold)).size < 3) depth++;
    return paths.map(fold);
  }

  /** A colour for each of the names that hold most at the peak, one for all others. */
  commonGroups(keys, unnamed, palette) {
    const sums = new Map();
    keys.forEach((key, i) => sums.set(key, (sums.get(key) || 0)
      + (this.isAlive(i, this.peakStep) ? this.bytes[i] * 1e6 : 0) + this.bytes[i]));
    const names = [...sums].sort((a, b) => b[1] - a[1]).slice(0, SHOWN_MODULES).map(([path]) => path);
    const places = new Map(names.map((path, place) => [path, place]));
    const colours = names.map((_, place) => palette.series[place]);
    if (sums.size > names.length) {
      colours.push(palette.for.other);
      names.push(`${formatCount(sums.size - names.length)} more`);
    }
    const other = names.length - 1;
    const index = Uint8Array.from(keys, (key) => places.get(key) ?? other);
    return { names: names.map((name) => name || unnamed), colours, index };
  }

  text(i) {
    this.texts ||= [];
    return (this.texts[i] ??= [this.name(i), this.producer(i) === null ? "" : this.graph.nodes.name[this.producer(i)],
      this.producer(i) === null ? "" : column(this.graph.nodes.op, this.producer(i)), this.module(i), this.dtype(i)]
      .join("\n").toLowerCase());
  }

  /** Ids of the buffers that pass a filter, unordered. */
  filter({ query, only, step }) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const at = only === "peak" ? this.peakStep : only === "step" ? step : null;
    const found = [];
    for (let i = 0; i < this.count; i++) {
      if (at !== null && !this.isAlive(i, at)) continue;
      if (words.length && !words.every((word) => this.text(i).includes(word))) continue;
      found.push(i);
    }
    return found;
  }

  /** The modules below `path`, with the ids of their buffers; `""` for what is in none. */
  modulesBelow(path, ids) {
    const depth = path === "" ? 0 : path.split(".").length;
    const found = new Map();
    for (const i of ids) {
      const parts = this.module(i) === "" ? [] : this.module(i).split(".");
      const key = parts.length > depth ? parts.slice(0, depth + 1).join(".") : null;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(i);
    }
    return found;
  }
}

function column(repeated, i) { return repeated.table[repeated.index[i]]; }
