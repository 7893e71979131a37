// One run: progress, society, curves, alarms and log, each drawn again whenever its part changes.

import { AgentList } from "./agents.js";
import { Chart, legend } from "./chart.js";
import { confirm, say } from "./confirm.js";
import { make, setText } from "./elements.js";
import { chip } from "./runs.js";
import * as server from "./server.js";
import { Society } from "./society.js";
import { ABSENT, age, bytes, count, metric, seconds, words } from "./text.js";

const TICK_MS = 1000;
const ARMS = { together: "together", isolated: "each alone", self_training: "by self-training" };

export function openRun(view, id) {
  const parts = {};
  const page = skeleton(id);
  view.append(...page.sections);
  document.title = `${id} · AgentOS live`;
  const agents = new AgentList(agent => society.choose(agent));
  const society = new Society(agent => agents.choose(agent));
  page.society.append(society.canvas);
  page.agents.append(agents.element);
  let charts = {};

  const close = server.follow(id, {
    head: head => {
      parts.head = head;
      society.setStage(head.status === "running" ? head.stage ?? "" : "");
      drawHead();
      agents.setHead(head);
    },
    society: map => {
      parts.society = map;
      page.map.hidden = false;
      society.setMap(map);
      agents.setMap(map);
      const left = map.edges_left_out ? `, of which ${(map.edge_count - map.edges_left_out).toLocaleString("en")} are drawn` : "";
      setText(page.mapNote, `${map.agents.toLocaleString("en")} agents, ${map.edge_count.toLocaleString("en")} edges${left}. ${note()}`);
    },
    edges: edges => {
      parts.edges = edges;
      society.setEdges(edges.edges);
      agents.setEdges(edges);
    },
    agents: rows => {
      parts.agents = rows;
      society.setStates(rows.state);
      agents.setRows(rows);
      drawHead();
    },
    curves: curves => {
      drawCurves(curves);
      parts.curves = curves;
      agents.setMetrics(curves.metrics);
      drawHead();
    },
    alarms: alarms => {
      parts.alarms = alarms;
      drawAlarms(alarms);
      drawHead();
    },
    log: lines => drawLog(lines),
  });

  function note() {
    return "Blue lines carried bytes, wider lines more. Choose an agent by a click or with the arrow keys.";
  }

  function drawHead() {
    const head = parts.head;
    if (!head) return;
    const running = head.status === "running";
    setText(page.name, head.name);
    page.chip.replaceWith(page.chip = chip(head.status));
    setText(page.lead, [
      head.agents && `${head.agents.toLocaleString("en")} agents`, head.topology && words(head.topology), head.exchange && words(head.exchange),
      `begun ${age(Date.now() / 1000 - head.started)}`, running && `process ${head.process} on ${head.host}`,
    ].filter(Boolean).join(" · "));
    setText(page.problem, head.problem ?? head.unread ?? "");
    page.problem.hidden = !page.problem.textContent;
    page.stop.hidden = !running;
    page.remove.hidden = running;
    page.report.hidden = running;
    drawProgress(head, running);
    drawTiles(head, running);
  }

  function drawProgress(head, running) {
    const share = head.total ? head.done / head.total : head.status === "finished" ? 1 : head.rounds ? (head.round ?? 0) / head.rounds : 0;
    page.bar.value = share;
    page.bar.setAttribute("aria-label", `${Math.round(100 * share)} % of the run`);
    const of = head.rounds == null ? "" : ` of ${head.rounds}`;
    const what = running
      ? [head.current ? `round ${head.current}${of}` : "", head.stage, ARMS[head.arm] ?? head.arm]
      : [head.status, head.round == null ? "before the first round" : `${head.round}${of} rounds done`];
    setText(page.progress, what.filter(Boolean).join(" · "));
  }

  function left(head) {
    return head.left_s == null ? null : head.left_s - (Date.now() / 1000 - (head.updated ?? Date.now() / 1000));
  }

  function drawTiles(head, running) {
    const losses = latest("loss");
    const known = parts.curves?.metrics.find(each => each.name !== "loss" && latest(each.name));
    const value = known && latest(known.name);
    const sent = head.total_bytes ?? total(parts.edges);
    tile("Round", head.round == null ? ABSENT : `${head.round}${head.rounds == null ? "" : ` / ${head.rounds}`}`, ARMS[head.arm] ?? head.arm);
    const time = left(head);
    tile("Time left", !running || time == null ? ABSENT : time > 0 ? seconds(time) : "soon", running ? "at the pace so far" : head.status);
    tile("Training loss", losses ? metric(losses[1], false) : ABSENT, losses ? `round ${losses[0]}, mean of agents` : "");
    tile(known?.title ?? "Result", value ? metric(value[1], known.percent) : ABSENT, value ? `round ${value[0]}, mean of agents` : "not evaluated yet");
    tile("Bytes exchanged", bytes(sent), head.size_bytes == null ? "" : `${bytes(head.size_bytes)} on the disk`);
    tile("Alarms", count(parts.alarms?.count ?? 0), parts.alarms?.count ? "see below" : "none");
  }

  function latest(name) {
    const arms = parts.curves?.arms[name];
    return arms?.together?.at(-1) ?? null;
  }

  function total(edges) {
    if (edges?.of !== "run") return null;
    let sum = 0;
    for (let index = 2; index < edges.edges.length; index += 3) sum += edges.edges[index];
    return sum;
  }

  function tile(name, value, small) {
    let entry = page.tiles.get(name);
    if (!entry) {
      const old = [...page.tiles.keys()].find(key => !["Round", "Time left", "Training loss", "Bytes exchanged", "Alarms"].includes(key));
      if (old && !["Round", "Time left", "Training loss", "Bytes exchanged", "Alarms"].includes(name)) {
        entry = page.tiles.get(old);
        page.tiles.delete(old);
        setText(entry.dt, name);
      } else {
        entry = { dt: make("dt", { text: name }), dd: make("span"), small: make("small") };
        page.tileList.append(make("div", {}, entry.dt, make("dd", {}, entry.dd, entry.small)));
      }
      page.tiles.set(name, entry);
    }
    setText(entry.dd, value);
    setText(entry.small, small ?? "");
  }

  function drawCurves(curves) {
    const names = JSON.stringify(curves.metrics);
    if (names !== JSON.stringify(parts.curves?.metrics)) {
      Object.values(charts).forEach(chart => chart.close());
      charts = {};
      page.charts.replaceChildren();
    }
    for (const described of curves.metrics) {
      const arms = curves.arms[described.name];
      if (!arms || !Object.values(arms).some(points => points.length)) continue;
      if (!charts[described.name]) {
        charts[described.name] = new Chart(described);
        page.charts.append(charts[described.name].element);
      }
      charts[described.name].update(arms);
    }
    page.legend.replaceChildren(...legend(new Set(Object.values(curves.arms).flatMap(arms => Object.keys(arms)))));
    page.curves.hidden = !page.charts.childElementCount;
  }

  function drawAlarms({ count: all, latest: alarms }) {
    page.alarmList.replaceChildren(...alarms.map(({ round, text, tone }) =>
      make("li", { class: tone }, make("span", { class: "when", text: `round ${round}` }), text)));
    setText(page.alarmNote, all === 0 ? "None: no fault struck, no exchange was paused, and no message was rejected."
      : `${all.toLocaleString("en")} so far, the latest first.`);
    page.alarmList.hidden = !alarms.length;
  }

  function drawLog(lines) {
    const box = page.log;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 30;
    setText(box, lines.join("\n") || "There is no log.");
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  async function act(what, title, text) {
    if (!await confirm(`${title} ${id}?`, text, title)) return;
    const answer = await server.act(what, id);
    say(answer.error ?? answer.done);
    if (answer.error) alert(answer.error);
    else if (what === "remove") location.hash = "#/";
  }

  page.stop.addEventListener("click", () => act("stop", "Stop", "Its process completes the records first; “agentos resume” continues it."));
  page.remove.addEventListener("click", () => act("remove", "Remove", `All that the run wrote, ${bytes(parts.head?.size_bytes)}, is removed for good.`));
  const timer = setInterval(drawHead, TICK_MS);
  return () => {
    clearInterval(timer);
    close();
    society.close();
    Object.values(charts).forEach(chart => chart.close());
  };
}

// The elements of the view, empty.
function skeleton(id) {
  const page = { tiles: new Map() };
  page.name = make("span", { text: id });
  page.chip = chip("…");
  page.lead = make("p", { class: "lead" });
  page.problem = make("p", { class: "problem", role: "alert", hidden: true });
  page.stop = make("button", { type: "button", text: "Stop", hidden: true });
  page.remove = make("button", { type: "button", text: "Remove", hidden: true });
  page.report = make("a", { class: "button", text: "Report", href: `/api/report/${server.path(id)}`, target: "_blank", rel: "noopener", hidden: true });
  page.bar = make("progress", { max: 1, value: 0 });
  page.progress = make("p", { class: "phase" });
  page.tileList = make("dl", { class: "tiles" });
  page.mapNote = make("p", { class: "note" });
  page.society = make("div", { class: "card map" });
  page.agents = make("div", { class: "card side" });
  page.map = make("section", { hidden: true }, make("h2", { text: "Society" }), page.mapNote, make("div", { class: "picture" }, page.society, page.agents));
  page.legend = make("div", { class: "legend" });
  page.charts = make("div", { class: "grid" });
  page.curves = make("section", { hidden: true }, make("h2", { text: "Learning curves" }), page.legend, page.charts);
  page.alarmNote = make("p", { class: "note" });
  page.alarmList = make("ol", { class: "card alarms", tabindex: 0, "aria-label": "Alarms", hidden: true });
  page.log = make("pre", { class: "card log", tabindex: 0, role: "log", "aria-label": "Log", "aria-live": "off" });
  page.sections = [
    make("header", {}, make("p", { class: "eyebrow" }, make("a", { href: "#/", text: "All runs" })), make("h1", {}, page.name, page.chip), page.lead, page.problem,
      make("div", { class: "actions" }, page.report, page.stop, page.remove)),
    make("div", { class: "card progress" }, page.progress, page.bar),
    page.tileList, page.map, page.curves,
    make("section", {}, make("h2", { text: "Alarms" }), page.alarmNote, page.alarmList),
    make("section", {}, make("h2", { text: "Log" }), page.log),
  ];
  return page;
}
