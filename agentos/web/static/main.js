// Chooses the view: all runs, or one run, by the part of the address after the #.

import { openRun } from "./run.js";
import { openRuns } from "./runs.js";
import * as server from "./server.js";

const views = { runs: document.getElementById("runs"), run: document.getElementById("run") };
let close = () => {};

async function show() {
  close();
  close = () => {};
  const id = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  const view = id ? "run" : "runs";
  for (const [name, element] of Object.entries(views)) {
    element.hidden = name !== view;
    element.replaceChildren();
  }
  close = id ? openRun(views.run, id) : openRuns(views.runs);
  scrollTo(0, 0);
}

// A folder with one run opens that run at once.
async function begin() {
  if (!location.hash) {
    const found = await server.runs();
    if (found && found.runs.length === 1) {
      location.replace(`#/${server.path(found.runs[0].id)}`);
      return;
    }
  }
  await show();
}

addEventListener("hashchange", show);
begin();
