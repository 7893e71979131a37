// One metric over rounds: a mean per arm with its band, or a thin line for each of a few agents.

import { colour, make, onResize, prepare, setText } from "./elements.js";
import { ABSENT, metric as asText } from "./text.js";

const ARMS = {
  together: { title: "together", hue: "--together", dash: [] },
  isolated: { title: "alone", hue: "--alone", dash: [6, 4] },
  self_training: { title: "self-training", hue: "--before", dash: [2, 3] },
};
const MARGIN = { left: 46, right: 12, top: 10, bottom: 26 };

// What the lines of these arms mean.
export function legend(arms) {
  return Object.entries(ARMS).filter(([arm]) => arms.has(arm)).map(([arm, { title }]) => make("span", {}, make("i", { class: `key ${arm}` }), title));
}

export class Chart {
  constructor(metric) {
    this.metric = metric;
    this.arms = {};
    this.at = null;
    this.readout = make("figcaption");
    this.canvas = make("canvas", { class: "curve", tabindex: 0, role: "img", on: {
      pointermove: event => this.choose(this.roundAt(event.offsetX)),
      pointerleave: () => this.choose(null),
      blur: () => this.choose(null),
      keydown: event => this.step(event),
    } });
    this.element = make("figure", { class: "chart" }, make("h3", { text: metric.title, title: metric.help }), this.readout, this.canvas);
    this.close = onResize(this.canvas, () => this.draw());
  }

  update(arms) {
    this.arms = arms;
    this.describe();
    this.draw();
  }

  get rounds() {
    const found = new Set();
    for (const points of Object.values(this.arms)) for (const point of points) found.add(point[0]);
    return [...found].sort((a, b) => a - b);
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const rounds = this.rounds;
    if (!by || !rounds.length) return;
    event.preventDefault();
    const now = this.at == null ? (by > 0 ? -1 : rounds.length) : rounds.indexOf(this.at);
    this.choose(rounds[Math.min(rounds.length - 1, Math.max(0, now + by))]);
  }

  choose(round) {
    if (round === this.at) return;
    this.at = round;
    this.describe();
    this.draw();
  }

  roundAt(x) {
    const rounds = this.rounds;
    if (!rounds.length || !this.scale) return null;
    return rounds.reduce((best, round) => Math.abs(this.scale.x(round) - x) < Math.abs(this.scale.x(best) - x) ? round : best);
  }

  // The values at the chosen round, or else the latest.
  describe() {
    const said = [];
    for (const [arm, { title }] of Object.entries(ARMS)) {
      const points = this.arms[arm];
      if (!points?.length) continue;
      const point = this.at == null ? points.at(-1) : points.find(each => each[0] === this.at);
      if (point) said.push(`${title} ${asText(point[1], this.metric.percent)}`);
    }
    const rounds = this.rounds;
    const round = this.at ?? rounds.at(-1);
    const text = round == null ? ABSENT : `Round ${round}: ${said.join(", ")}`;
    setText(this.readout, text);
    this.canvas.setAttribute("aria-label", `${this.metric.title}. ${text}. Arrow keys choose a round.`);
  }

  draw() {
    const { context, width, height } = prepare(this.canvas);
    if (!width) return;
    const extent = this.extent();
    if (!extent) return;
    const ticks = nice(extent.low, extent.high);
    const low = Math.min(extent.low, ticks[0]);
    const high = Math.max(extent.high, ticks.at(-1));
    const last = Math.max(1, this.rounds.at(-1));
    const x = round => MARGIN.left + round / last * (width - MARGIN.left - MARGIN.right);
    const y = value => height - MARGIN.bottom - (value - low) / (high - low || 1) * (height - MARGIN.top - MARGIN.bottom);
    this.scale = { x, y };
    this.drawAxes(context, ticks, last, width, height);
    for (const [arm, look] of Object.entries(ARMS)) {
      if (this.arms[arm]?.length) this.drawArm(context, this.arms[arm], look);
    }
    if (this.at != null) {
      context.setLineDash([]);
      context.strokeStyle = colour("--muted");
      context.lineWidth = 1;
      line(context, [[x(this.at), MARGIN.top], [x(this.at), height - MARGIN.bottom]]);
    }
  }

  extent() {
    let low = Infinity;
    let high = -Infinity;
    for (const points of Object.values(this.arms)) {
      for (const [, mean, bottom, top, each] of points) {
        for (const value of [mean, bottom, top, ...(each ?? [])]) {
          if (value == null) continue;
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
    }
    if (low > high) return null;
    if (low === high) {
      const pad = Math.abs(low) / 10 || 0.5;
      return { low: low - pad, high: high + pad };
    }
    return { low, high };
  }

  drawAxes(context, ticks, last, width, height) {
    context.font = `11px ${colour("--font") || "sans-serif"}`;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const tick of ticks) {
      const y = Math.round(this.scale.y(tick)) + 0.5;
      context.strokeStyle = colour("--grid");
      line(context, [[MARGIN.left, y], [width - MARGIN.right, y]]);
      context.fillStyle = colour("--muted");
      context.fillText(tickText(tick, ticks, this.metric.percent), MARGIN.left - 7, y);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    const step = Math.max(1, Math.ceil(last / Math.max(2, Math.floor(width / 70))));
    for (let round = 0; round <= last; round += step) context.fillText(String(round), this.scale.x(round), height - MARGIN.bottom + 8);
  }

  drawArm(context, points, look) {
    const hue = colour(look.hue);
    const { x, y } = this.scale;
    const few = points[0][4] != null;
    context.lineJoin = "round";
    context.globalAlpha = few ? 0.28 : 0.14;
    if (few) {
      context.strokeStyle = hue;
      context.lineWidth = 1;
      context.setLineDash(look.dash);
      points[0][4].forEach((_, agent) => line(context, points.filter(point => point[4]?.[agent] != null).map(point => [x(point[0]), y(point[4][agent])])));
    } else {
      context.fillStyle = hue;
      line(context, [...points.map(point => [x(point[0]), y(point[3])]), ...points.toReversed().map(point => [x(point[0]), y(point[2])])], true);
    }
    context.globalAlpha = 1;
    context.strokeStyle = hue;
    context.fillStyle = hue;
    context.lineWidth = 2.2;
    context.setLineDash(look.dash);
    line(context, points.map(point => [x(point[0]), y(point[1])]));
    const dots = points.length <= 30 ? points : points.slice(-1);
    for (const point of dots) {
      context.beginPath();
      context.arc(x(point[0]), y(point[1]), 2.6, 0, 7);
      context.fill();
    }
  }
}

function line(context, points, fill = false) {
  context.beginPath();
  points.forEach(([x, y], index) => index ? context.lineTo(x, y) : context.moveTo(x, y));
  if (fill) context.fill();
  else context.stroke();
}

// About five round numbers between two.
function nice(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(each => each * power).find(each => each >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) ticks.push(Math.abs(tick) < step * 1e-9 ? 0 : tick);
  return ticks;
}

function tickText(tick, ticks, percent) {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : Math.abs(tick) || 1;
  const decimals = Math.max(0, Math.min(6, -Math.floor(Math.log10(step * (percent ? 100 : 1)) + 1e-9)));
  const exact = percent ? 100 * step : step;
  const more = Math.abs(exact * 10 ** decimals - Math.round(exact * 10 ** decimals)) > 1e-6 ? 1 : 0;
  return percent ? `${(100 * tick).toFixed(decimals + more)}%` : tick.toFixed(decimals + more);
}
