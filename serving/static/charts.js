// Charts in the page's colours: drawn anew when those change, as wide as their place.

import { language, number, say } from "./live.js";

const HEIGHT = 300;
const drawn = new Set();

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function axis(more) {
  return {
    stroke: colour("soft"), font: "12px Inter, system-ui, sans-serif",
    grid: { stroke: colour("grid"), width: 1 }, ticks: { stroke: colour("grid"), width: 1 }, ...more,
  };
}

const DAY_S = 86400;
const dates = (options) => {
  const format = new Intl.DateTimeFormat(language, { timeZone: "UTC", ...options });
  return (s) => format.format(new Date(s * 1000));
};
const asHour = dates({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const asDay = dates({ day: "numeric", month: "short" });
const asMonth = dates({ month: "short", year: "numeric" });
const asMoment = dates({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function asTime(ticks, step) {
  if (step >= 28 * DAY_S) return ticks.map(asMonth);
  return ticks.map((s) => (step >= DAY_S || s % DAY_S === 0 ? asDay(s) : asHour(s)));
}

/**
 * A chart at an element. `describe()` gives uPlot's `series`, and perhaps `x` (`{time, label}`), `y`
 * (`{label, share, least, digits}`), `bands` and `hooks`.
 */
export class Chart {
  constructor(place, describe) {
    this.place = place;
    this.describe = describe;
    this.data = null;
    this.plot = null;
    drawn.add(this);
    new ResizeObserver(() => this.resize()).observe(place);
  }

  show(data) {
    this.data = data;
    if (this.plot && this.plot.series.length === data.length) this.plot.setData(data);
    else this.draw();
  }

  draw() {
    if (!this.data) return;
    this.plot?.destroy();
    const { series, x = {}, y = {}, bands = [], hooks = {} } = this.describe();
    const values = (_, ticks, __, ___, step) => ticks.map((tick) => (
      y.share ? `${number(100 * tick, digits(100 * step))} %` : number(tick, digits(step))));
    const read = (_, value) => (value === null || value === undefined ? "–" : y.share ? `${number(100 * value, 1)} %` : number(value, y.digits ?? 1));
    const readX = (_, value) => (value === null || value === undefined ? "–" : x.time ? asMoment(value) : number(value));
    series[0] = { label: x.time ? say("time") : x.label, value: readX };
    series.slice(1).forEach((one) => (one.value = read));
    this.plot = new window.uPlot({
      width: this.width(), height: HEIGHT, bands, hooks, series,
      tzDate: (s) => window.uPlot.tzDate(new Date(s * 1e3), "Etc/UTC"),
      cursor: { points: { size: 7 } },
      scales: {
        x: { time: Boolean(x.time) },
        y: { range: (_, low, high) => range(low, high, y) },
      },
      axes: [
        axis(x.time ? { values: (_, ticks, __, ___, step) => asTime(ticks, step) } : { values: (_, ticks) => ticks.map((tick) => number(tick)), label: x.label, labelSize: 20, labelFont: "12px Inter, system-ui, sans-serif" }),
        axis({ values, size: 60, label: y.label, labelSize: 20, labelFont: "12px Inter, system-ui, sans-serif" }),
      ],
    }, this.data, this.place);
  }

  width() {
    return Math.max(200, Math.floor(this.place.clientWidth));
  }

  resize() {
    if (this.plot && this.plot.width !== this.width()) this.plot.setSize({ width: this.width(), height: HEIGHT });
  }
}

/** How many digits after the point tell ticks apart. */
function digits(step) {
  let found = 0;
  while (found < 6 && Math.abs(step * 10 ** found - Math.round(step * 10 ** found)) > 1e-6) found += 1;
  return found;
}

function range(low, high, { least = null, share = false }) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || 1) * 0.08;
  return [least === null ? low - room : Math.min(least, low), share ? Math.min(1, high + room) : high + room];
}

/** A line: solid for what is ours, dashed for what it is held against. */
export function line(label, { baseline = false, ...more } = {}) {
  return {
    label, stroke: colour(baseline ? "second" : "accent"), width: 2, dash: baseline ? [6, 4] : undefined,
    points: { show: false }, ...more,
  };
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => drawn.forEach((chart) => chart.draw()));
