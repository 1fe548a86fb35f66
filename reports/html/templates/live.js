"use strict";
// The picture of a run that goes on: it is fetched when there is a newer one.

globalThis.freshened = async (next) => {
  const main = document.getElementById("main");
  const newest = next.getElementById("main").dataset.drawnPicture;
  const picture = globalThis.pictures?.[0];
  if (!picture || main.dataset.drawnPicture === newest) return;
  const answer = await fetch("picture.json", { cache: "no-store" });
  if (!answer.ok) return; // the run has just ended, which the next look at the page says
  await picture.become(await answer.json());
  main.dataset.drawnPicture = newest;
};
