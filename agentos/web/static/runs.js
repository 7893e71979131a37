// All runs of a folder, the latest first.

import { confirm, say } from "./confirm.js";
import { make, setText } from "./elements.js";
import * as server from "./server.js";
import { ABSENT, age, bytes, metric, words } from "./text.js";

const POLL_MS = 2000;
const DIGEST = /(^|\/)[0-9a-f]{16}$/;  // folders of a sweep's runs, whose names tell more
const ENDED = new Set(["interrupted", "failed"]);

export function chip(status) {
  return make("span", { class: `chip ${status}`, text: status });
}

function title(run) {
  return DIGEST.test(run.id) && run.name ? run.name : run.id;
}

export function openRuns(view) {
  const lead = make("p", { class: "lead" });
  const body = make("tbody");
  const prune = make("button", { type: "button", text: "Remove runs that did not finish", hidden: true });
  const table = make("div", { class: "card scroll", tabindex: 0, role: "region", "aria-label": "Runs" },
    make("table", { class: "runs" },
      make("thead", {}, make("tr", {}, ...["Run", "Status", "Round", "Result", "Size", "Started", ""].map(
        heading => make("th", { scope: "col", text: heading, class: heading === "Status" ? "left" : null })))),
      body));
  const empty = make("p", { class: "card", hidden: true, text: "There is no run in this folder yet. Begin one with “agentos run quickstart”." });
  view.append(make("header", {}, make("p", { class: "eyebrow", text: "AgentOS live" }), make("h1", { text: "Runs" }), lead), table, empty,
    make("div", { class: "actions" }, prune));

  let closed = false;
  let timer = 0;
  let shown = "";
  let pruned = [];

  async function refresh() {
    clearTimeout(timer);
    const found = await server.runs();
    if (closed) return;
    if (found) draw(found);
    timer = setTimeout(refresh, POLL_MS);
  }

  function draw(found) {
    const { folder, runs } = found;
    const running = runs.filter(run => run.status === "running").length;
    const size = runs.reduce((sum, run) => sum + run.size_bytes, 0);
    setText(lead, `${folder ? `${folder}/ · ` : ""}${runs.length} run${runs.length === 1 ? "" : "s"} · ${running} running · ${bytes(size)}`);
    document.title = running ? `${running} running · AgentOS live` : "AgentOS live";
    pruned = runs.filter(run => ENDED.has(run.status));
    prune.hidden = pruned.length === 0;
    table.hidden = runs.length === 0;
    empty.hidden = runs.length > 0;
    const now = JSON.stringify([runs, Math.floor(Date.now() / 60000)]);
    if (now === shown) return;
    shown = now;
    const focused = document.activeElement?.dataset?.key;
    body.replaceChildren(...runs.map(row));
    if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  function row(run) {
    const round = run.round == null ? ABSENT : `${run.round}${run.rounds == null ? "" : ` / ${run.rounds}`}`;
    const result = run.problem ?? (run.value == null ? ABSENT : metric(run.value, run.percent));
    const what = [run.agents && `${run.agents.toLocaleString("en")} agents`, run.topology && words(run.topology), run.exchange && words(run.exchange), title(run) !== run.id && run.id];
    const link = make("a", { href: `#/${server.path(run.id)}`, text: title(run) });
    link.dataset.key = `open ${run.id}`;
    const action = run.status === "running"
      ? button(run, "stop", "Stop", `Its process ${run.process} completes the records first; “agentos resume” continues it.`)
      : button(run, "remove", "Remove", `All that the run wrote, ${bytes(run.size_bytes)}, is removed for good.`);
    return make("tr", {},
      make("th", { scope: "row" }, link, make("small", { text: what.filter(Boolean).join(" · ") })),
      make("td", { class: "status left" }, chip(run.status)), make("td", { class: "round", text: round }),
      make("td", { class: "result" }, make("span", { text: result }), make("small", { text: run.value == null ? "" : words(run.metric) })),
      make("td", { class: "size", text: bytes(run.size_bytes) }), make("td", { class: "begun", text: age(Date.now() / 1000 - run.started) }),
      make("td", { class: "act" }, action));
  }

  function button(run, what, text, consequence) {
    const element = make("button", { type: "button", text, "aria-label": `${text} ${run.id}`, on: { click: async () => {
      if (!await confirm(`${text} ${run.id}?`, consequence, text)) return;
      const answer = await server.act(what, run.id);
      say(answer.error ?? `${run.id}: ${answer.done}`);
      if (answer.error) alert(answer.error);
      refresh();
    } } });
    element.dataset.key = `${what} ${run.id}`;
    return element;
  }

  prune.addEventListener("click", async () => {
    const chosen = pruned;
    const size = chosen.reduce((sum, run) => sum + run.size_bytes, 0);
    const names = chosen.slice(0, 8).map(run => run.id).join(", ") + (chosen.length > 8 ? ` and ${chosen.length - 8} more` : "");
    if (!await confirm(`Remove ${chosen.length} run${chosen.length === 1 ? "" : "s"}?`, `${names}: ${bytes(size)} are removed for good.`, "Remove")) return;
    const errors = [];
    for (const run of chosen) {
      const answer = await server.act("remove", run.id);
      if (answer.error) errors.push(answer.error);
    }
    if (errors.length) alert(errors.join("\n"));
    refresh();
  });

  refresh();
  return () => {
    closed = true;
    clearTimeout(timer);
  };
}
