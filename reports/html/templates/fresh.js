// Keeps a page up to date: it fetches itself again, and each of its parts with `data-fresh` becomes what it is there.
// Elements stay where they can, so that focus and selection stay, and only what changes is read aloud.

const EVERY_MS = Number(document.body.dataset.every);
const LONGEST_MS = 15000; // between two tries while the server does not answer

// Makes an element what another one is. Children with an id keep their identity, the others their place.
function become(now, next) {
  if (now.isEqualNode(next)) return;
  for (const { name } of [...now.attributes]) if (name !== "hidden" && !next.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  const wanted = new Set([...next.children].map((one) => one.id));
  [...now.children].filter((one) => one.id && !wanted.has(one.id)).forEach((one) => one.remove());
  const named = new Map([...now.children].map((one) => [one.id, one]));
  let place = now.firstChild;
  for (const one of next.childNodes) {
    const known = one.id ? named.get(one.id) : undefined;
    const there = known ?? (place && !place.id && !one.id && place.nodeName === one.nodeName ? place : undefined);
    if (!there) {
      now.insertBefore(document.importNode(one, true), place);
      continue;
    }
    if (there !== place) now.insertBefore(there, place);
    if (there.nodeType === Node.ELEMENT_NODE) become(there, one);
    else if (there.nodeValue !== one.nodeValue) there.nodeValue = one.nodeValue;
    place = there.nextSibling;
  }
  while (place) {
    const after = place.nextSibling;
    place.remove();
    place = after;
  }
}

async function freshen() {
  const answer = await fetch(`${location.pathname}?fresh`, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const every = Number(next.body.dataset.every || 0);
  if (!every) { location.reload(); return 0; } // it has ended: another page stands there now
  document.title = next.title;
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const found = next.getElementById(part.id);
    if (found) become(part, found);
  }
  await globalThis.freshened?.(next);
  return every;
}

async function keepFresh() {
  let pause = EVERY_MS;
  const lost = document.getElementById("lost");
  while (pause) {
    await new Promise((wake) => { setTimeout(wake, pause); });
    if (document.hidden) await new Promise((wake) => { document.addEventListener("visibilitychange", wake, { once: true }); });
    try {
      pause = await freshen();
      lost.hidden = true;
    } catch {
      pause = Math.min(LONGEST_MS, pause * 2);
      lost.hidden = false;
    }
  }
}
keepFresh();
