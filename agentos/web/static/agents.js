// The list of agents at the side of the picture: what the marks mean, the chosen agent, and a list for keyboards and readers.

import { make, setText } from "./elements.js";
import { look } from "./society.js";
import { bytes, count, metric, words } from "./text.js";

const STATES = { t: "trained", u: "not trained yet", p: "exchange paused", a: "away", d: "diverged" };
const URGENCY = "dpaut";
const LISTED = 40;  // most agents in the list: those that need attention first

export class AgentList {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.map = null;
    this.rows = null;
    this.edges = null;
    this.metric = null;
    this.chosen = null;
    this.filter = "";
    this.roles = make("ul", { class: "marks" });
    this.states = make("dl", { class: "facts" });
    this.details = make("div", { class: "details", "aria-live": "polite" });
    this.search = make("input", { type: "search", placeholder: "Find an agent", "aria-label": "Find an agent", on: { input: () => {
      this.filter = this.search.value.trim().toLowerCase();
      this.drawList();
    } } });
    this.items = make("ul", { class: "agents", "aria-label": "Agents" });
    this.rest = make("p", { class: "more" });
    this.element = make("div", {}, this.roles, this.states, this.details, this.search, this.items, this.rest);
  }

  setMap(map) {
    this.map = map;
    const roles = [...new Set(map.roles)].slice(0, 8);
    this.roles.replaceChildren(...roles.map(role => make("li", {}, make("i", { class: `mark ${look(role)[1]} ${look(role)[0].slice(2)}` }), words(role))));
    this.draw();
  }

  setRows(rows) {
    this.rows = rows;
    this.draw();
  }

  setEdges(edges) {
    this.edges = edges;
    this.drawDetails();
  }

  setMetrics(metrics) {
    this.metrics = metrics;
    this.draw();
  }

  choose(agent) {
    this.chosen = agent;
    this.draw();
  }

  draw() {
    this.metric = this.metrics?.find(each => each.name === this.rows?.metric);
    this.drawStates();
    this.drawDetails();
    this.drawList();
  }

  drawStates() {
    const counts = {};
    for (const state of this.rows?.state ?? "") counts[state] = (counts[state] ?? 0) + 1;
    this.states.replaceChildren(...Object.entries(STATES).filter(([state]) => counts[state]).flatMap(([state, name]) => [
      make("dt", { class: `state ${state}`, text: name }), make("dd", { text: count(counts[state]) })]));
  }

  drawDetails() {
    const agent = this.chosen;
    if (agent == null || !this.map || !this.rows) {
      this.details.replaceChildren();
      return;
    }
    const rows = this.rows;
    const edges = this.edges?.edges ?? [];
    let sent = 0;
    let received = 0;
    for (let index = 0; index < edges.length; index += 3) {
      if (edges[index] === agent) sent += edges[index + 2];
      if (edges[index + 1] === agent) received += edges[index + 2];
    }
    const facts = [
      ["role", words(this.map.roles[agent])],
      ["state", STATES[rows.state[agent]] ?? ""],
      ["training loss", metric(rows.loss[agent], false)],
      [this.metric?.title ?? "result", metric(rows.main[agent], this.metric?.percent)],
      [this.edges?.of === "run" ? "sent" : "sent last round", bytes(this.edges ? sent : rows.sent[agent])],
      [this.edges?.of === "run" ? "received" : "received last round", bytes(this.edges ? received : rows.received[agent])],
      ["rejected last round", count(rows.rejected[agent])],
    ];
    this.details.replaceChildren(make("h3", { text: `${this.map.names[agent]}` }), make("dl", { class: "facts" },
      ...facts.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })])));
  }

  // Those that need attention first, then the worst by the metric.
  drawList() {
    if (!this.map) return;
    const { rows, metric: judged } = this;
    const sign = judged && !judged.higher ? -1 : 1;
    const key = agent => rows?.main[agent] ?? -(rows?.loss[agent] ?? 0);
    const order = this.map.names.map((_, agent) => agent).filter(agent => this.map.names[agent].toLowerCase().includes(this.filter));
    if (rows) order.sort((a, b) => URGENCY.indexOf(rows.state[a]) - URGENCY.indexOf(rows.state[b]) || sign * (key(a) - key(b)) || a - b);
    const focused = document.activeElement?.dataset?.agent;
    this.items.replaceChildren(...order.slice(0, LISTED).map(agent => this.item(agent)));
    if (focused != null) this.items.querySelector(`[data-agent="${focused}"]`)?.focus({ preventScroll: true });
    const hidden = order.length - LISTED;
    setText(this.rest, hidden > 0 ? `and ${hidden.toLocaleString("en")} more; those that need attention come first` : order.length ? "" : "No agent has such a name.");
  }

  item(agent) {
    const state = this.rows?.state[agent] ?? "u";
    const value = this.rows ? metric(this.rows.main[agent] ?? this.rows.loss[agent], this.rows.main[agent] != null && this.metric?.percent) : "";
    const button = make("button", { type: "button", "aria-pressed": String(agent === this.chosen), on: { click: () => this.onChoose(agent === this.chosen ? null : agent) } },
      make("span", { class: `state ${state}`, text: this.map.names[agent] }), make("span", { text: "dpa".includes(state) ? STATES[state] : value }));
    button.dataset.agent = agent;
    return make("li", {}, button);
  }
}
