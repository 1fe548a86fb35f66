"use strict";
// A space-time diagram: steps through its rows, lights up what led to each, and shows what each node was then.

const SHOWN_ENTRIES = 12; // of each log: the last ones of the longest
const HUE = 137.5; // degrees from a term's colour to the next: neighbours differ much

class Spacetime {
  static async of(figure, view) {
    const steps = JSON.parse(await unpacked(figure.querySelector(".steps").textContent));
    return new Spacetime(figure, view, steps);
  }

  constructor(figure, view, steps) {
    Object.assign(this, { figure, view, steps });
    this.drawing = figure.querySelector(".drawing");
    this.slider = figure.querySelector("input[type=range]");
    this.at = -1;
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.drawing);
    this.listen();
    figure.querySelector(".tools").hidden = false;
    figure.querySelector("[data-do=none]").hidden = !steps.rows.some((row) => row.witness);
    this.show();
  }

  set(name, value) {
    this.view.signal(name, value);
    if (this.waits) return;
    this.waits = true; // at most one drawing for each frame of the screen
    requestAnimationFrame(() => { this.waits = false; this.view.runAsync(); });
  }

  resize() {
    const width = Math.max(240, Math.floor(this.drawing.clientWidth));
    if (width !== this.view.signal("W")) this.set("W", width);
  }

  listen() {
    const { figure, steps } = this;
    const last = steps.rows.length - 1;
    const actions = {
      first: () => 0,
      back: () => (this.at < 0 ? last : Math.max(0, this.at - 1)),
      on: () => (this.at < 0 ? 0 : Math.min(last, this.at + 1)),
      last: () => last,
      none: () => -1,
    };
    const keys = { ArrowLeft: "back", ArrowRight: "on", Home: "first", End: "last", Escape: "none" };
    figure.querySelectorAll("[data-do]").forEach((button) =>
      button.addEventListener("click", () => this.go(actions[button.dataset.do]())));
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    (figure.dataset.keys === "page" ? document : figure).addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      if (event.target.matches("input, textarea, select") && event.key !== "Escape") return;
      event.preventDefault();
      this.go(actions[keys[event.key]]());
    });
    this.view.addSignalListener("at", (name, at) => { if (at !== this.at) this.go(at, false); });
  }

  // Goes to a row of the diagram; -1 is none: then all that led to the violation is lit up.
  go(at, scroll = true) {
    this.at = at;
    this.set("at", at);
    this.slider.value = at < 0 ? this.steps.rows.length - 1 : at;
    this.show();
    if (scroll && at >= 0) this.scrollTo(at);
  }

  scrollTo(at) {
    const y = this.view.data("rows")[at].y;
    const { drawing } = this;
    if (drawing.scrollHeight > drawing.clientHeight + 1) {
      const [top, end] = [drawing.scrollTop, drawing.scrollTop + drawing.clientHeight];
      if (y < top + 40 || y > end - 40) drawing.scrollTop = y - drawing.clientHeight / 2;
      return;
    }
    const there = drawing.getBoundingClientRect().top + y;
    if (there < 60 || there > innerHeight - 60) scrollBy(0, there - innerHeight / 2);
  }

  // Each node's state after the row, and the nodes that changed in it.
  states(at) {
    const states = { ...this.steps.first };
    this.steps.rows.slice(0, at + 1).forEach((row) => Object.assign(states, row.states));
    return states;
  }

  show() {
    const { rows } = this.steps;
    const at = this.at < 0 ? rows.length - 1 : this.at;
    const states = this.states(at);
    this.say(this.at);
    this.nodes(states, this.at < 0 ? {} : rows[at].states);
    this.logs(states, new Set(rows[at].unlike));
  }

  say(at) {
    const { rows, numbered } = this.steps;
    const said = this.figure.querySelector(".said");
    if (at < 0) {
      const last = rows[rows.length - 1];
      said.replaceChildren(
        element("p", `${rows.length} ${numbered ? "steps" : "rows"}; the nodes as they are after the last one`),
        element("p", spoken(last), last.witness ? "violated" : ""),
        element("p", "Lit up: what happened before the violation. Faint: the rest."));
      return;
    }
    const chosen = rows[at];
    const name = numbered ? `Step ${chosen.number}` : `Row ${at + 1} of ${rows.length}`;
    const list = document.createElement("ul");
    list.append(...chosen.details.map((line) => element("li", line)));
    said.replaceChildren(
      element("p", `${name}, ${chosen.who}, ${(chosen.t / 1e6).toFixed(6)} s${chosen.witness ? ", of the violation" : ""}`),
      element("p", spoken(chosen), chosen.witness ? "violated" : ""), list);
  }

  nodes(states, changed) {
    const head = row("th", ["", "role", "term", "voted for", "log up to", "commit"].map((name) => element("th", name)));
    const lines = this.steps.nodes.map((name) => {
      const state = states[name];
      const life = state.life ?? "down";
      const role = life === "up" ? state.role || "follower" : life;
      const cell = element("td", "");
      cell.append(element("i", "", role), role);
      const rest = [state.term ?? 0, state.vote ?? "–", length(state), state.commit ?? 0];
      const line = row("tr", [scoped(name), cell, ...rest.map((value) => element("td", value))]);
      if (changed[name]) line.className = "changed";
      return line;
    });
    fill(this.figure.querySelector(".nodes"), "The nodes", head, lines);
  }

  // The ends of the logs, an entry's term in each cell, as in Figure 7 of the paper.
  logs(states, unlike) {
    const longest = Math.max(0, ...this.steps.nodes.map((name) => length(states[name])));
    const first = Math.max(1, longest - SHOWN_ENTRIES + 1);
    const indexes = Array.from({ length: longest - first + 1 }, (_, n) => first + n);
    const head = row("th", [element("th", "log"), ...indexes.map((index) => element("th", index))]);
    const lines = this.steps.nodes.map((name) => {
      const cells = entries(states[name], first).map(({ index, term, sure }) => {
        const odd = unlike.has(index);
        const cell = element("span", term, `cell${sure ? " sure" : ""}${odd ? " unlike" : ""}`);
        cell.style.setProperty("--hue", (term * HUE) % 360);
        cell.title = `entry ${index} of term ${term}${sure ? "" : ", not yet committed"}${odd ? ", differs from another node's" : ""}`;
        const around = document.createElement("td");
        around.append(cell, element("span", `${sure ? "" : " not committed"}${odd ? " differs" : ""}`, "unseen"));
        return around;
      });
      if (!cells.length) {
        const end = element("td", length(states[name]) ? `ends at ${length(states[name])}` : "empty", "ends");
        end.colSpan = Math.max(1, indexes.length);
        cells.push(end);
      }
      return row("tr", [scoped(name), ...cells]);
    });
    fill(this.figure.querySelector(".logs"), "The ends of the logs: the term of each entry", head, lines);
  }
}

function element(tag, text, name) {
  const made = Object.assign(document.createElement(tag), { textContent: text });
  if (name) made.className = name;
  return made;
}

// The text of a row with who it is about, unless it begins with that.
function spoken({ who, text }) {
  return text.startsWith(who) || who === "harness" ? text : `${who}: ${text}`;
}

function scoped(name) {
  return Object.assign(element("th", name), { scope: "row" });
}

function row(kind, cells) {
  const made = document.createElement("tr");
  if (kind === "th") cells.forEach((cell) => { cell.scope = "col"; });
  made.append(...cells);
  return made;
}

function fill(table, caption, head, lines) {
  const top = document.createElement("thead");
  const body = document.createElement("tbody");
  top.append(head);
  body.append(...lines);
  table.replaceChildren(element("caption", caption, "unseen"), top, body);
}

function length(state) {
  return (state.log ?? []).reduce((sum, [, number]) => sum + number, 0);
}

// The entries of a log from an index on. A log is kept as runs of entries of the same term.
function entries(state, first) {
  const found = [];
  let before = 0;
  for (const [term, number] of state.log ?? []) {
    for (let index = Math.max(first, before + 1); index <= before + number; index += 1) {
      found.push({ index, term, sure: index <= (state.commit ?? 0) });
    }
    before += number;
  }
  return found;
}
