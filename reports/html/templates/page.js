"use strict";
// What a page does in the browser: it unpacks the plotting library and the pictures, draws them, and keeps tables sorted.

const COLOURS = ["paper", "panel", "ink", "soft", "line", "accent", "valid", "violated", "unknown", "leader", "candidate",
  "follower", "up", "down", "paused", "fault", "onmark", "ok", "fail", "open"];
const SMALLEST_PART = 2e-5; // of the run: a picture is not enlarged further

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// A text, and names with values, as they stand in a tip and in a pin. Values that are empty are left out.
function details(value) {
  const box = document.createElement("div");
  const { title, ...rest } = value;
  const head = box.appendChild(document.createElement("p"));
  head.append(Object.assign(document.createElement("span"), { textContent: title }));
  const table = box.appendChild(document.createElement("table"));
  for (const [name, text] of Object.entries(rest)) {
    if (text === "" || text === null || text === undefined) continue;
    const row = table.insertRow();
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: name }));
    row.insertCell().textContent = text;
  }
  return box;
}

function showTip(handler, event, item, value) {
  const tip = document.getElementById("tip");
  tip.hidden = !value;
  if (!value) return;
  tip.replaceChildren(details(value));
  const box = tip.getBoundingClientRect();
  const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 16 : event.clientX + 16;
  const top = event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

const LOG_ENTRIES = 14;

function termAt(node, index) {
  if (index > node.last) return undefined;
  return node.terms.findLast(([first]) => first <= index)?.[1];
}

// The indexes of which entries are shown: the last ones, or those from the first on where two logs differ.
function logWindow(nodes) {
  const last = Math.max(0, ...nodes.map((node) => node.last));
  const starts = [...new Set(nodes.flatMap((node) => node.terms.map(([first]) => first)))].sort((a, b) => a - b);
  const differs = starts.find((index) => {
    const terms = new Set(nodes.map((node) => termAt(node, index)).filter((term) => term !== undefined));
    return terms.size > 1;
  });
  const begin = Math.max(1, Math.min(last - LOG_ENTRIES + 1, differs === undefined ? last : differs - 2));
  return Array.from({ length: Math.min(LOG_ENTRIES, last - begin + 1) }, (_, n) => begin + n);
}

// The nodes as a table; beside each the end of its log, a cell for each entry with its term (as in Figure 7 of the paper).
function states(nodes) {
  const box = Object.assign(document.createElement("div"), { className: "states" });
  const table = box.appendChild(document.createElement("table"));
  const window_ = logWindow(nodes);
  const head = table.createTHead().insertRow();
  const title = (text) => head.append(Object.assign(document.createElement("th"), { scope: "col", textContent: text }));
  ["", "state", "term", ...(window_.length ? ["commit", "last"] : [])].forEach(title);
  window_.forEach((index, n) => title(n === 0 || n === window_.length - 1 || index % 5 === 0 ? index : ""));
  const body = table.createTBody();
  for (const node of nodes) {
    const row = body.insertRow();
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: node.name }));
    const values = [node.state, node.term ?? "", ...(window_.length ? [node.commit ?? "", node.last || ""] : [])];
    values.forEach((value) => { row.insertCell().textContent = value; });
    for (const index of window_) {
      const cell = row.insertCell();
      const term = termAt(node, index);
      cell.className = "entry";
      if (term === undefined) continue;
      cell.textContent = term;
      cell.title = `entry ${index} of ${node.name}, term ${term}${index <= node.commit ? ", committed" : ""}`;
      cell.style.setProperty("--hue", (term * 137.5) % 360);
      cell.classList.add("there");
      if (index <= node.commit) cell.classList.add("committed");
    }
  }
  if (window_.length) box.append(Object.assign(document.createElement("p"), {
    className: "note", textContent: "The end of each log: an entry's term by number and colour; underlined: known to be committed." }));
  return box;
}

// One picture over time: which part is shown, what is pinned.
class Picture {
  constructor(figure, view, spec) {
    this.figure = figure;
    this.drawing = figure.querySelector(".drawing");
    this.pins = [];
    this.take(view, spec);
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.drawing);
    this.listen();
    figure.querySelector(".tools").hidden = false;
    figure.querySelector("[data-do=violation]").hidden = !this.data.moments?.length;
  }

  take(view, spec) {
    this.view = view;
    this.place = spec.usermeta;
    this.data = Object.fromEntries(spec.data.filter((set) => set.values).map((set) => [set.name, set.values]));
    view.addEventListener("click", (event, item) => this.click(event, item));
  }

  // The same run, later: what is shown stays, unless that is the whole run, and so does what is pinned. The new drawing
  // is made out of sight and then takes the place of the old one, without a moment between them.
  async become(spec) {
    const [from, to] = this.part;
    const whole = from <= 0 && to >= this.place.end;
    const [before, width, stage] = [this.view, this.width, document.createElement("div")];
    const view = await viewIn(stage, spec);
    view.signal("W", width).signal("xdom", whole ? [0, spec.usermeta.end] : [from, to]);
    view.data("pinned", this.pins.map(({ t }) => ({ t })));
    await view.runAsync();
    this.take(view, spec);
    this.drawing.replaceChildren(stage);
    this.drawing.setAttribute("aria-label", spec.description);
    this.figure.querySelector("[data-do=violation]").hidden = !this.data.moments?.length;
    before.finalize();
  }

  get part() { return this.view.signal("xdom"); }
  get width() { return this.view.signal("W"); }

  set(name, value) {
    this.view.signal(name, value);
    if (this.waits) return;
    this.waits = true; // at most one drawing for each frame of the screen
    requestAnimationFrame(() => { this.waits = false; this.view.runAsync(); });
  }

  resize() {
    const width = Math.max(120, Math.floor(this.drawing.clientWidth) - this.place.left - this.place.right);
    if (width !== this.width) this.set("W", width);
  }

  show(from, to) {
    const end = this.place.end;
    const length = Math.min(end, Math.max(to - from, end * SMALLEST_PART));
    const begin = Math.min(Math.max(0, from), end - length);
    this.set("xdom", [begin, begin + length]);
  }

  zoom(factor, at) {
    const [from, to] = this.part;
    const middle = at ?? (from + to) / 2;
    this.show(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  move(part) {
    const [from, to] = this.part;
    this.show(from + (to - from) * part, to + (to - from) * part);
  }

  act(what) {
    const first = this.data.moments?.[0];
    if (what === "in") this.zoom(0.5);
    if (what === "out") this.zoom(2);
    if (what === "left") this.move(-0.25);
    if (what === "right") this.move(0.25);
    if (what === "all") this.show(0, this.place.end);
    if (what === "violation" && first) {
      const around = Math.max((first.t - first.from) * 0.3, this.place.end / 40);
      this.show(first.from - around, first.t + around);
    }
  }

  time(event, whole) {
    const part = (event.clientX - this.drawing.getBoundingClientRect().left - this.place.left) / this.width;
    const [from, to] = whole ? [0, this.place.end] : this.part;
    return from + Math.min(1, Math.max(0, part)) * (to - from);
  }

  onStrip(event) {
    const y = event.clientY - this.drawing.getBoundingClientRect().top - this.view.padding().top;
    return y >= this.place.strip[0];
  }

  listen() {
    const { drawing } = this;
    this.figure.querySelectorAll("[data-do]").forEach((button) =>
      button.addEventListener("click", () => this.act(button.dataset.do)));
    const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "all", Home: "all", v: "violation" };
    drawing.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      this.act(keys[event.key]);
    });
    drawing.addEventListener("wheel", (event) => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !event.metaKey && !sideways) return; // the page scrolls
      event.preventDefault();
      if (sideways) this.move(event.deltaX / this.width);
      else this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 120)) * 0.35), this.time(event));
    }, { passive: false });
    drawing.addEventListener("dblclick", (event) => this.zoom(0.4, this.time(event)));
    drawing.addEventListener("pointerdown", (event) => this.grab(event));
    drawing.addEventListener("pointermove", (event) => this.hover(event));
    drawing.addEventListener("pointerleave", () => { this.set("hover", null); document.getElementById("tip").hidden = true; });
  }

  hover(event) {
    this.set("hover", this.onStrip(event) ? null : this.time(event));
  }

  // A drag moves what is shown; on the strip it chooses what is shown.
  grab(event) {
    if (event.button) return;
    const strip = this.onStrip(event);
    const startX = event.clientX;
    const [from, to] = this.part;
    const start = this.time(event, strip);
    this.dragged = false;
    const follow = (move) => {
      if (Math.abs(move.clientX - startX) < 4 && !this.dragged) return;
      this.dragged = true;
      this.drawing.classList.add("moving");
      if (strip) {
        const now = this.time(move, true);
        this.show(Math.min(start, now), Math.max(start, now));
      } else {
        const shift = ((startX - move.clientX) / this.width) * (to - from);
        this.show(from + shift, to + shift);
      }
    };
    const drop = () => {
      removeEventListener("pointermove", follow);
      removeEventListener("pointerup", drop);
      removeEventListener("pointercancel", drop);
      this.drawing.classList.remove("moving");
      if (strip && !this.dragged) this.show(start - (to - from) / 2, start + (to - from) / 2);
    };
    addEventListener("pointermove", follow);
    addEventListener("pointerup", drop);
    addEventListener("pointercancel", drop);
  }

  // Pins what is under the pointer, and the state of all nodes at that time.
  click(event, item) {
    if (this.dragged || this.onStrip(event)) return;
    const datum = item?.datum ?? {};
    const t = typeof datum.t === "number" ? datum.t : this.time(event);
    this.pin(t, item?.tooltip && typeof item.tooltip === "object" ? item.tooltip : null);
  }

  pin(t, what) {
    const faults = (this.data.faults ?? []).filter((fault) => fault.s <= t && fault.e >= t);
    const shown = { title: `${t.toFixed(3)} s` };
    if (faults.length) shown.faults = faults.map((fault) => `${fault.kind} ${fault.on}`).join("; ");
    this.pins.push({ t, what, shown });
    if (this.pins.length > 6) this.pins.shift();
    this.showPins();
  }

  // Each node at that time: its state, its term, its commit index, the end of its log.
  nodesAt(t) {
    const nodes = new Map();
    for (const span of this.data.lanes ?? []) {
      if (span.s > t || (span.e <= t && span.e < this.place.end)) continue;
      const node = nodes.get(span.n) ?? nodes.set(span.n, { name: span.n, state: "", terms: [], last: 0 }).get(span.n);
      if (span.state === "paused") node.state += ", paused";
      else Object.assign(node, { state: span.state, term: span.term });
    }
    const latest = (rows) => rows.filter((row) => row.t <= t && nodes.has(row.n));
    latest(this.place.logs).forEach(({ n, last, terms }) => Object.assign(nodes.get(n), { last, terms }));
    latest(this.data.commits ?? []).forEach(({ n, index }) => { nodes.get(n).commit = index; });
    return [...nodes.values()];
  }

  showPins() {
    const boxes = this.pins.map((pin) => {
      const box = details(pin.shown);
      box.className = "pin";
      const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Remove" });
      close.setAttribute("aria-label", `Remove the pin at ${pin.shown.title}`);
      close.addEventListener("click", () => { this.pins = this.pins.filter((one) => one !== pin); this.showPins(); });
      box.querySelector("p").append(close);
      box.append(states(this.nodesAt(pin.t)));
      if (pin.what) box.append(document.createElement("hr"), details(pin.what));
      return box;
    });
    this.figure.querySelector(".pins").replaceChildren(...boxes);
    this.view.data("pinned", this.pins.map(({ t }) => ({ t })));
    this.view.runAsync();
  }
}

async function viewIn(element, spec) {
  const options = { mode: "vega", renderer: "canvas", actions: false, defaultStyle: false, tooltip: showTip };
  const { view } = await window.vegaEmbed(element, spec, options);
  view.signal("c", colours());
  return view;
}

async function draw() {
  const library = document.getElementById("library");
  const figures = [...document.querySelectorAll("figure.picture, figure.spacetime")];
  if (!library || !figures.length) return [];
  const source = document.createElement("script");
  source.textContent = await unpacked(library.textContent);
  document.head.append(source);
  const pictures = await Promise.all(figures.map(async (figure) => {
    const spec = JSON.parse(await unpacked(figure.querySelector(".spec").textContent));
    const drawing = figure.querySelector(".drawing");
    const label = drawing.getAttribute("aria-label");
    const view = await viewIn(drawing, spec);
    if (label) drawing.setAttribute("aria-label", label); // which the library replaces
    const stepped = figure.classList.contains("spacetime");
    const picture = stepped ? await Spacetime.of(figure, view) : new Picture(figure, view, spec);
    await view.runAsync();
    const first = spec.data.find((set) => set.name === "moments")?.values[0];
    if (first) picture.pin(first.t, { title: `${first.invariant} violated`, "": first.message });
    return picture;
  }));
  const again = () => pictures.forEach((picture) => picture.set("c", colours()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  return pictures;
}

// Sorts a table by a column: numbers as numbers, the rest as text, empty cells last; once more: the other way round.
function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const up = header.getAttribute("aria-sort") !== "ascending";
  const number = (text) => (/^[-+]?[\d.,]+%?$/.test(text) ? parseFloat(text.replace(/,/g, "")) : NaN);
  const rows = [...table.tBodies[0].rows].map((row) => [row, row.cells[column].textContent.trim()]);
  const numeric = rows.every(([, text]) => !text || !Number.isNaN(number(text)));
  rows.sort(([, a], [, b]) => {
    if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
    const order = numeric ? number(a) - number(b) : a.localeCompare(b, "en", { numeric: true });
    return up ? order : -order;
  });
  header.parentNode.querySelectorAll("th").forEach((one) => one.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows.map(([row]) => row));
}

document.querySelectorAll(".table thead th button").forEach((button) =>
  button.addEventListener("click", () => sortBy(button.parentNode)));

document.querySelectorAll("button.copy").forEach((button) => {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
});

Promise.all([draw(), globalThis.showHistories?.()]).then(([pictures]) => {
  window.pictures = pictures; // for whoever looks from outside, such as tests
  document.documentElement.dataset.drawn = "yes";
});
