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
const TILES = { round: "Round", left: "Time left", loss: "Training loss", main: "Result", bytes: "Bytes exchanged", alarms: "Alarms" };

export function openRun(view, id) {
  const run = new RunView(id);
  view.append(...run.page.sections);
  document.title = `${id} · AgentOS live`;
  return () => run.close();
}

class RunView {
  constructor(id) {
    this.id = id;
    this.page = skeleton(id);
    this.parts = {};
    this.charts = {};
    this.agents = new AgentList(agent => this.society.choose(agent));
    this.society = new Society(agent => this.agents.choose(agent));
    this.page.society.append(this.society.canvas);
    this.page.agents.append(this.agents.element);
    this.page.stop.addEventListener("click", () => this.stop());
    this.page.remove.addEventListener("click", () => this.remove());
    const draw = { head: this.setHead, society: this.setMap, edges: this.setEdges, agents: this.setAgents, curves: this.setCurves, alarms: this.setAlarms, log: this.setLog };
    this.unfollow = server.follow(id, Object.fromEntries(Object.entries(draw).map(([name, show]) => [name, part => {
      show.call(this, part);
      this.parts[name] = part;
      if (name !== "log") this.drawHead();
    }])));
    this.timer = setInterval(() => this.drawHead(), TICK_MS);
  }

  close() {
    clearInterval(this.timer);
    this.unfollow();
    this.society.close();
    Object.values(this.charts).forEach(chart => chart.close());
  }

  setHead(head) {
    this.society.setStage(head.status === "running" ? head.stage ?? "" : "");
  }

  setMap(map) {
    this.page.map.hidden = false;
    this.society.setMap(map);
    this.agents.setMap(map);
    const left = map.edges_left_out ? `, ${(map.edge_count - map.edges_left_out).toLocaleString("en")} of them drawn` : "";
    setText(this.page.mapNote, `${map.agents.toLocaleString("en")} agents, ${map.edge_count.toLocaleString("en")} edges${left}. `
      + "Blue lines carried bytes, wider lines more. Choose an agent by a click or with the arrow keys.");
  }

  setEdges(edges) {
    this.society.setEdges(edges.edges);
    this.agents.setEdges(edges);
  }

  setAgents(rows) {
    this.society.setStates(rows.state);
    this.agents.setRows(rows);
  }

  setCurves(curves) {
    const { page } = this;
    if (JSON.stringify(curves.metrics) !== JSON.stringify(this.parts.curves?.metrics)) {
      Object.values(this.charts).forEach(chart => chart.close());
      this.charts = {};
      page.charts.replaceChildren();
      this.agents.setMetrics(curves.metrics);
    }
    for (const described of curves.metrics) {
      const arms = curves.arms[described.name] ?? {};
      if (!Object.values(arms).some(points => points.length)) continue;
      if (!this.charts[described.name]) {
        this.charts[described.name] = new Chart(described);
        page.charts.append(this.charts[described.name].element);
      }
      this.charts[described.name].update(arms);
    }
    page.legend.replaceChildren(...legend(new Set(Object.values(curves.arms).flatMap(arms => Object.keys(arms)))));
    page.curves.hidden = !page.charts.childElementCount;
  }

  setAlarms({ count: all, latest: alarms }) {
    const { page } = this;
    page.alarmList.replaceChildren(...alarms.map(({ round, text, tone }) =>
      make("li", { class: tone }, make("span", { class: "when", text: `round ${round}` }), text)));
    setText(page.alarmNote, all === 0 ? "None: no fault struck, no exchange was paused, and no message was rejected."
      : `${all.toLocaleString("en")} so far, the latest first.`);
    page.alarmList.hidden = !alarms.length;
  }

  setLog(lines) {
    const box = this.page.log;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 30;
    setText(box, lines.join("\n") || "There is no log.");
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  drawHead() {
    const { page, parts: { head } } = this;
    if (!head) return;
    const running = head.status === "running";
    setText(page.name, head.name);
    if (page.chip.textContent !== head.status) page.chip.replaceWith(page.chip = chip(head.status));
    setText(page.lead, [
      head.agents && `${head.agents.toLocaleString("en")} agents`, head.topology && words(head.topology), head.exchange && words(head.exchange),
      `begun ${age(Date.now() / 1000 - head.started)}`, running && `process ${head.process} on ${head.host}`,
    ].filter(Boolean).join(" · "));
    setText(page.problem, head.problem ?? head.unread ?? "");
    page.problem.hidden = !page.problem.textContent;
    page.stop.hidden = !running;
    page.remove.hidden = running;
    page.report.hidden = running;
    this.drawProgress(head, running);
    this.drawTiles(head, running);
  }

  drawProgress(head, running) {
    const { page } = this;
    const finished = head.status === "finished" ? 1 : head.rounds ? (head.round ?? 0) / head.rounds : 0;
    page.bar.value = head.total ? head.done / head.total : finished;
    page.bar.setAttribute("aria-label", `${Math.round(100 * page.bar.value)} % of the run`);
    const of = head.rounds == null ? "" : ` of ${head.rounds}`;
    const what = running
      ? [head.current ? `round ${head.current}${of}` : "", head.stage, ARMS[head.arm] ?? head.arm]
      : [head.status, head.round == null ? "before the first round" : `${head.round}${of} rounds done`];
    setText(page.progress, what.filter(Boolean).join(" · "));
  }

  drawTiles(head, running) {
    const { curves, alarms } = this.parts;
    const latest = name => curves?.arms[name]?.together?.at(-1) ?? null;
    const judged = curves?.metrics.find(each => each.name !== "loss" && latest(each.name));
    const loss = latest("loss");
    const value = judged && latest(judged.name);
    const left = head.left_s == null ? null : head.left_s - (Date.now() / 1000 - (head.updated ?? Date.now() / 1000));
    this.tile("round", head.round == null ? ABSENT : `${head.round}${head.rounds == null ? "" : ` / ${head.rounds}`}`, ARMS[head.arm] ?? head.arm);
    this.tile("left", !running || left == null ? ABSENT : left > 0 ? seconds(left) : "soon", running ? "at the pace so far" : head.status);
    this.tile("loss", loss ? metric(loss[1], false) : ABSENT, loss ? `round ${loss[0]}, mean` : "no round yet");
    this.tile("main", value ? metric(value[1], judged.percent) : ABSENT, value ? `round ${value[0]}, ${this.sample(judged)}` : "not evaluated yet", judged?.title);
    this.tile("bytes", bytes(head.total_bytes ?? this.sentInAll()), `${bytes(head.size_bytes)} on the disk`);
    this.tile("alarms", count(alarms?.count ?? 0), alarms?.count ? "see below" : "none");
  }

  // What a mean is over, and its 95 % interval over agents.
  sample(judged) {
    const { agents } = this.parts;
    if (agents?.metric !== judged.name) return "mean of agents";
    const evaluated = agents.main.filter(each => each != null).length;
    const spread = agents.half_width == null ? "" : ` \u00b1 ${metric(agents.half_width, judged.percent)}`;
    return `mean of ${count(evaluated)} agent${evaluated === 1 ? "" : "s"}${spread}`;
  }

  tile(key, value, small, title = TILES[key]) {
    const entry = this.page.tiles[key];
    setText(entry.title, title);
    setText(entry.value, value);
    setText(entry.small, small);
  }

  // Bytes of a run that ended; null while it runs, as its edges are those of one round.
  sentInAll() {
    const { edges } = this.parts;
    return edges?.of === "run" ? edges.edges.reduce((sum, part, index) => index % 3 === 2 ? sum + part : sum, 0) : null;
  }

  stop() {
    return this.act("stop", "Stop", "Its process completes the records first; “agentos resume” continues it.");
  }

  remove() {
    return this.act("remove", "Remove", `All that the run wrote, ${bytes(this.parts.head?.size_bytes)}, is removed for good.`);
  }

  async act(what, title, text) {
    if (!await confirm(`${title} ${this.id}?`, text, title)) return;
    const answer = await server.act(what, this.id);
    say(answer.error ?? answer.done);
    if (answer.error) alert(answer.error);
    else if (what === "remove") location.hash = "#/";
  }
}

// The elements of the view, empty.
function skeleton(id) {
  const page = {
    name: make("span", { text: id }),
    chip: chip("…"),
    lead: make("p", { class: "lead" }),
    problem: make("p", { class: "problem", role: "alert", hidden: true }),
    stop: make("button", { type: "button", text: "Stop", hidden: true }),
    remove: make("button", { type: "button", text: "Remove", hidden: true }),
    report: make("a", { class: "button", text: "Report", href: `/api/report/${server.path(id)}`, target: "_blank", rel: "noopener", hidden: true }),
    bar: make("progress", { max: 1, value: 0 }),
    progress: make("p", { class: "phase" }),
    tiles: Object.fromEntries(Object.keys(TILES).map(key => [key, { title: make("dt"), value: make("span"), small: make("small") }])),
    mapNote: make("p", { class: "note" }),
    society: make("div", { class: "card map" }),
    agents: make("div", { class: "card side" }),
    legend: make("div", { class: "legend" }),
    charts: make("div", { class: "grid" }),
    alarmNote: make("p", { class: "note" }),
    alarmList: make("ol", { class: "card alarms", tabindex: 0, "aria-label": "Alarms", hidden: true }),
    log: make("pre", { class: "card log", tabindex: 0, role: "log", "aria-label": "Log", "aria-live": "off" }),
  };
  const tiles = Object.values(page.tiles).map(({ title, value, small }) => make("div", {}, title, make("dd", {}, value, small)));
  page.map = make("section", { hidden: true }, make("h2", { text: "Society" }), page.mapNote, make("div", { class: "picture" }, page.society, page.agents));
  page.curves = make("section", { hidden: true }, make("h2", { text: "Learning curves" }), page.legend, page.charts);
  page.sections = [
    make("header", {}, make("p", { class: "eyebrow" }, make("a", { href: "#/", text: "All runs" })), make("h1", {}, page.name, page.chip), page.lead, page.problem,
      make("div", { class: "actions" }, page.report, page.stop, page.remove)),
    make("div", { class: "card progress" }, page.progress, page.bar),
    make("dl", { class: "tiles" }, ...tiles), page.map, page.curves,
    make("section", {}, make("h2", { text: "Alarms" }), page.alarmNote, page.alarmList),
    make("section", {}, make("h2", { text: "Log" }), page.log),
  ];
  return page;
}
