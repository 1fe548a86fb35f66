"use strict";
// The history of the chosen key as a table: in the order that explains it, or by calls with the contradiction marked.

const STANDING = {
  linearized: "In an order that explains all that clients saw (a linearization).",
  violated: "By the time of their calls: no order explains the marked ones.",
  unordered: "By the time of their calls: no order was found in the time that a page takes.",
};

function historyTable(one) {
  const columns = ["#", "operation", "process", "called s", "returned s", ...(one.ordered === "violated" ? ["contradiction"] : [])];
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  columns.forEach((title) => {
    const cell = head.appendChild(Object.assign(document.createElement("th"), { scope: "col" }));
    cell.append(Object.assign(document.createElement("button"), { type: "button", textContent: title }));
    cell.firstChild.addEventListener("click", () => sortBy(cell));
  });
  const body = table.createTBody();
  const second = (time) => (time === null ? "never" : time.toFixed(6));
  one.operations.forEach(([text, process, called, returned, core], n) => {
    const row = body.insertRow();
    row.append(Object.assign(document.createElement("th"), { scope: "row", className: "number", textContent: n + 1 }));
    const cells = [[text, "long"], [process, "number"], [called === null ? "" : second(called), "number"], [second(returned), "number"]];
    if (one.ordered === "violated") cells.push([core ? "yes" : "", "name"]);
    if (core) row.className = "core";
    cells.forEach(([content, kind]) => Object.assign(row.insertCell(), { textContent: content, className: kind }));
  });
  return table;
}

function historyNote(one) {
  const more = [];
  if (one.without_effect) more.push(`${one.without_effect} of unknown outcome are in no order: nobody saw their effect.`);
  if (one.unshown) more.push(`... and ${one.unshown} more; history.jsonl has all of them.`);
  return [STANDING[one.ordered], ...more].join(" ");
}

async function showHistories() {
  const data = document.getElementById("history-data");
  if (!data) return;
  const keys = JSON.parse(await unpacked(data.textContent));
  const chosen = document.getElementById("history-key");
  const show = () => {
    const one = keys[chosen.selectedIndex];
    document.querySelector(".histories .scroll").replaceChildren(historyTable(one));
    document.getElementById("history-note").textContent = historyNote(one);
  };
  chosen.addEventListener("change", show);
  show();
}
