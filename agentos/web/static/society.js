// The society as it runs, on a canvas: agents, edges, and the bytes that flow along them.

import { colour, make, onResize, prepare } from "./elements.js";
import { bytes } from "./text.js";

const NAMED = 24;        // most agents whose names are written
const FLOWING = 240;     // most edges along which dots move
const CURVED = 0.1;      // how far an edge bends, as a share of its length, so that none hides another
const NOTICED = 4;       // least radius of an agent that is away, paused or diverged
const PERIOD_MS = 1600;  // time that a dot takes along an edge
const ROLES = { peer: "low", slave: "low", leaf: "low", relay: "relay", root: "top", master: "top" };
const LOOKS = { low: ["--role-low", "circle"], relay: ["--role-relay", "square"], top: ["--role-top", "diamond"], other: ["--role-other", "circle"] };

export class Society {
  constructor(onChoose) {
    this.map = null;
    this.states = "";
    this.live = [];
    this.stage = "";
    this.chosen = null;
    this.onChoose = onChoose;
    this.canvas = make("canvas", { class: "society", tabindex: 0, role: "application", "aria-label": "Society", on: {
      click: event => this.choose(this.agentAt(event.offsetX, event.offsetY)),
      pointermove: event => { this.canvas.style.cursor = this.agentAt(event.offsetX, event.offsetY) == null ? "" : "pointer"; },
      keydown: event => this.step(event),
    } });
    this.background = document.createElement("canvas");
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = 0;
    this.stale = true;
    const closeResize = onResize(this.canvas, () => { this.stale = true; this.draw(); });
    this.close = () => { closeResize(); cancelAnimationFrame(this.frame); this.map = null; };
  }

  setMap(map) {
    this.map = map;
    this.stale = true;
    this.canvas.setAttribute("aria-label", `Society of ${map.agents} agents and ${map.edge_count} edges. Arrow keys choose an agent, Escape none.`);
    this.draw();
  }

  setStates(states) {
    this.states = states;
    this.draw();
  }

  setEdges(flat) {
    this.live = [];
    for (let index = 0; index < flat.length; index += 3) this.live.push(flat.slice(index, index + 3));
    this.live.sort((a, b) => b[2] - a[2]);
    this.most = this.live.length ? this.live[0][2] : 1;
    this.draw();
  }

  setStage(stage) {
    if (stage === this.stage) return;
    this.stage = stage;
    this.draw();
  }

  get moving() {
    return this.stage !== "" && !this.still.matches && this.map != null;
  }

  choose(agent) {
    this.chosen = agent;
    this.onChoose(agent);
    this.draw();
  }

  step(event) {
    if (!this.map) return;
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") this.choose(null);
    if (!by) return;
    event.preventDefault();
    const last = this.map.x.length - 1;
    this.choose(this.chosen == null ? (by > 0 ? 0 : last) : (this.chosen + by + last + 1) % (last + 1));
  }

  agentAt(x, y) {
    if (!this.places) return null;
    let best = null;
    let nearest = 14;
    this.places.forEach(([left, top, radius], agent) => {
      const distance = Math.hypot(left - x, top - y) - radius;
      if (distance < nearest) [best, nearest] = [agent, distance];
    });
    return best;
  }

  // Places agents in the canvas, and draws what does not move on another one.
  layOut(width, height) {
    const { x, y, radius } = this.map;
    const named = x.length <= NAMED;
    const margin = named ? 48 : 18;
    const right = Math.max(...x, 1e-6);
    const bottom = Math.max(...y, 1e-6);
    const flat = bottom < 0.02 * right;
    const scale = Math.min((width - 2 * margin) / right, flat ? Infinity : (height - 2 * margin) / bottom);
    const left = (width - scale * right) / 2;
    const top = flat ? height / 2 : (height - scale * bottom) / 2;
    this.places = x.map((_, agent) => [
      left + scale * x[agent],
      top + (flat ? 0 : scale * y[agent]),
      Math.min(22, Math.max(1.6, scale * radius[agent] * 0.9)),
    ]);
    this.named = named;
    this.bend = this.map.family === "peer" ? CURVED : 0;
    this.centre = this.map.arrangement === "circle" ? [width / 2, height / 2] : null;
  }

  drawBackground(width, height) {
    const scale = window.devicePixelRatio || 1;
    this.background.width = Math.round(width * scale);
    this.background.height = Math.round(height * scale);
    const context = this.background.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const edges = this.map.edges;
    context.strokeStyle = colour("--edge");
    context.globalAlpha = Math.min(1, Math.max(0.2, (60 / Math.max(1, edges.length / 2)) ** 0.35));
    context.lineWidth = 1;
    for (let index = 0; index < edges.length; index += 2) {
      context.beginPath();
      this.path(context, edges[index], edges[index + 1]);
      context.stroke();
    }
  }

  control(a, b) {
    const [ax, ay] = this.places[a];
    const [bx, by] = this.places[b];
    if (this.centre) { // to the inside, so that no edge lies behind agents of the ring
      const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
      const [dx, dy] = [this.centre[0] - mx, this.centre[1] - my];
      const share = CURVED * Math.hypot(bx - ax, by - ay) / (Math.hypot(dx, dy) + 1);
      return [mx + share * dx, my + share * dy];
    }
    const bend = a < b ? this.bend : -this.bend; // both directions of an edge follow one line
    return [(ax + bx) / 2 + (by - ay) * bend, (ay + by) / 2 - (bx - ax) * bend];
  }

  path(context, a, b) {
    context.moveTo(this.places[a][0], this.places[a][1]);
    context.quadraticCurveTo(...this.control(a, b), this.places[b][0], this.places[b][1]);
  }

  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(now => {
      this.frame = 0;
      this.paint(now);
    });
  }

  paint(now) {
    if (!this.map || !this.canvas.isConnected) return;
    const { context, width, height } = prepare(this.canvas);
    if (!width) return;
    if (!this.map.x.length) {
      context.fillStyle = colour("--muted");
      context.font = `14px ${colour("--font")}`;
      context.fillText("Too many agents to draw one by one.", 20, 30);
      return;
    }
    if (this.stale) {
      this.layOut(width, height);
      this.drawBackground(width, height);
      this.stale = false;
    }
    context.globalAlpha = this.chosen == null ? 1 : 0.4;
    context.drawImage(this.background, 0, 0, width, height);
    context.globalAlpha = 1;
    this.drawLive(context);
    if (this.moving) this.drawFlow(context, now);
    this.drawAgents(context, now, width);
    if (this.chosen != null) this.drawLabel(context, width);
    if (this.moving) this.draw();
  }

  get present() {
    const agents = this.places.length;
    return this.live.filter(([a, b]) => a >= 0 && b >= 0 && a < agents && b < agents && (this.chosen == null || a === this.chosen || b === this.chosen));
  }

  drawLive(context) {
    const edges = this.present;
    const crowd = Math.max(1, edges.length / 60);
    context.strokeStyle = colour("--together");
    for (const [a, b, size] of edges) {
      context.globalAlpha = Math.max(0.12, 0.55 / crowd ** 0.5);
      context.lineWidth = Math.max(0.6, 3.4 * Math.sqrt(size / this.most) / crowd ** 0.25);
      context.beginPath();
      this.path(context, a, b);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawFlow(context, now) {
    const exchanging = this.stage === "exchanging";
    context.fillStyle = colour("--together");
    context.globalAlpha = exchanging ? 1 : 0.45;
    const present = this.present;
    const step = Math.ceil(present.length / FLOWING);
    const edges = present.filter((_, index) => index % step === 0);
    const radius = (exchanging ? 3 : 2.2) * (edges.length > 100 ? 0.7 : 1);
    edges.forEach(([a, b], index) => {
      const t = (now / PERIOD_MS + index * 0.381966) % 1;
      const [cx, cy] = this.control(a, b);
      const [ax, ay] = this.places[a];
      const [bx, by] = this.places[b];
      const u = 1 - t;
      context.beginPath();
      context.arc(u * u * ax + 2 * u * t * cx + t * t * bx, u * u * ay + 2 * u * t * cy + t * t * by, radius, 0, 7);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  drawAgents(context, now, width) {
    const card = colour("--card");
    const hues = Object.fromEntries(Object.entries(LOOKS).map(([look, [hue]]) => [look, colour(hue)]));
    const marks = { a: colour("--muted"), p: colour("--alone"), d: colour("--bad") };
    const training = this.stage === "training";
    const pulse = this.moving ? 0.5 + 0.5 * Math.sin(now / 300) : 0.5;
    const order = this.places.map((_, agent) => agent).sort((a, b) => "dpa".includes(this.states[a]) - "dpa".includes(this.states[b]));
    for (const agent of order) {
      const look = ROLES[this.map.roles[agent]] ?? "other";
      const state = this.states[agent] ?? "u";
      const [x, y, own] = this.places[agent];
      const radius = "dpa".includes(state) ? Math.max(own, NOTICED) : own;
      if (training && state !== "a") {
        context.globalAlpha = 0.1 + 0.22 * pulse;
        context.fillStyle = hues[look];
        shape(context, "circle", x, y, radius + 3 + 3 * pulse);
        context.fill();
      }
      shape(context, LOOKS[look][1], x, y, radius);
      context.globalAlpha = 1;
      context.fillStyle = card;
      context.fill();
      context.globalAlpha = state === "u" ? 0.55 : 1;
      context.fillStyle = state === "a" || state === "p" ? card : state === "d" ? marks.d : hues[look];
      context.fill();
      context.setLineDash(state === "a" ? [3, 3] : []);
      context.lineWidth = Math.min(3, Math.max(1, radius / 4));
      context.strokeStyle = marks[state] ?? card;
      context.stroke();
      context.setLineDash([]);
      if (state === "d" || state === "p") mark(context, state, x, y, radius, state === "d" ? card : marks.p);
    }
    context.globalAlpha = 1;
    if (this.named) this.drawNames(context, width);
  }

  // Names as wide as there is room for between the neighbours in the same row.
  drawNames(context, width) {
    context.font = `12px ${colour("--font") || "sans-serif"}`;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.lineJoin = "round";
    this.places.forEach(([x, y, radius], agent) => {
      if (agent === this.chosen) return;
      let room = 2 * Math.min(x, width - x) - 6;
      this.places.forEach(([left, top], other) => {
        if (other !== agent && Math.abs(top - y) < 24) room = Math.min(room, Math.abs(left - x) - 8);
      });
      const text = fitted(context, this.map.names[agent], Math.min(room, 130));
      if (text) outlined(context, text, x, y + radius + 5);
    });
  }

  drawLabel(context, width) {
    const [x, y, radius] = this.places[this.chosen];
    context.strokeStyle = colour("--ink");
    context.lineWidth = 2;
    shape(context, "circle", x, y, radius + 4);
    context.stroke();
    const sent = this.live.filter(([a]) => a === this.chosen).reduce((sum, edge) => sum + edge[2], 0);
    const text = cut(this.map.names[this.chosen], 40) + (sent ? ` · ${bytes(sent)} sent` : "");
    context.font = `600 13px ${colour("--font") || "sans-serif"}`;
    context.textAlign = "center";
    context.textBaseline = "top";
    const half = context.measureText(text).width / 2 + 6;
    outlined(context, text, Math.min(width - half, Math.max(half, x)), y + radius + 8);
  }
}

export function look(role) {
  return LOOKS[ROLES[role] ?? "other"];
}

function shape(context, kind, x, y, radius) {
  context.beginPath();
  if (kind === "square") context.rect(x - 0.88 * radius, y - 0.88 * radius, 1.76 * radius, 1.76 * radius);
  else if (kind === "diamond") {
    const r = 1.2 * radius;
    context.moveTo(x, y - r);
    context.lineTo(x + r, y);
    context.lineTo(x, y + r);
    context.lineTo(x - r, y);
    context.closePath();
  } else context.arc(x, y, radius, 0, 7);
}

function mark(context, state, x, y, radius, hue) {
  if (radius < 6) return;
  const r = 0.42 * radius;
  context.strokeStyle = hue;
  context.lineWidth = Math.max(1.5, radius / 5);
  context.beginPath();
  if (state === "d") {
    context.moveTo(x - r, y - r);
    context.lineTo(x + r, y + r);
    context.moveTo(x + r, y - r);
    context.lineTo(x - r, y + r);
  } else {
    context.moveTo(x - r / 1.6, y - r);
    context.lineTo(x - r / 1.6, y + r);
    context.moveTo(x + r / 1.6, y - r);
    context.lineTo(x + r / 1.6, y + r);
  }
  context.stroke();
}

function outlined(context, text, x, y) {
  context.strokeStyle = colour("--card");
  context.lineWidth = 4;
  context.strokeText(text, x, y);
  context.fillStyle = colour("--ink");
  context.fillText(text, x, y);
}

function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let limit = text.length;
  while (limit > 3 && context.measureText(cut(text, limit)).width > room) limit -= 1;
  return limit > 3 ? cut(text, limit) : "";
}

function cut(text, limit) {
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}
