"use strict";
// The list of runs: a filter by words, which stays when the list becomes new, and news for those who do not see it.

const field = document.getElementById("filter");
const cards = () => [...document.querySelectorAll(".run")];
const verdicts = () => new Map(cards().map((card) => [card.id, card.querySelector(".badge").textContent]));

function filtered() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards()) {
    const text = card.textContent.toLowerCase();
    card.hidden = !words.every((word) => text.includes(word));
    shown += !card.hidden;
  }
  document.querySelectorAll("main section").forEach((part) => { part.hidden = !part.querySelector(".run:not([hidden])"); });
  const text = words.length ? `${shown} of ${cards().length} shown` : "";
  const note = document.getElementById("matching");
  if (note.textContent !== text) note.textContent = text;
}

field.addEventListener("input", filtered);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== field && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.select();
  }
  if (event.key === "Escape" && field.value) {
    field.value = "";
    filtered();
  }
});
filtered(); // a browser keeps the words when it goes back

let told = verdicts();
globalThis.freshened = () => {
  filtered();
  const now = verdicts();
  const news = [...now].filter(([id, verdict]) => told.get(id) !== verdict);
  told = now;
  if (news.length) document.getElementById("news").textContent =
    news.slice(0, 3).map(([id, verdict]) => `${id.slice(4)}: ${verdict}`).join(". ");
};
