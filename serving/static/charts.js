// Charts in the page's colours: drawn again when the colours change, as wide as their place.

import { formatNumber, language, say } from "./live.js";

const HEIGHT = 300;
const FONT = "12px Inter, system-ui, sans-serif";
const DIGIT_PX = 7.5;
const charts = new Set();

export function getColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function makeAxis(options) {
  return {
    stroke: getColour("soft"), font: FONT,
    grid: { stroke: getColour("grid"), width: 1 }, ticks: { stroke: getColour("grid"), width: 1 }, ...options,
  };
}

const DAY_S = 86400;
const makeDateFormat = (options) => {
  const format = new Intl.DateTimeFormat(language, { timeZone: "UTC", ...options });
  return (s) => format.format(new Date(s * 1000));
};
const makeLocalFormat = (options) => {
  const format = new Intl.DateTimeFormat(language, { hourCycle: "h23", ...options });
  return (s) => format.format(new Date(s * 1000));
};
const formatClock = makeLocalFormat({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const formatLocalMoment = makeLocalFormat({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const formatHour = makeDateFormat({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const formatDay = makeDateFormat({ day: "numeric", month: "short" });
const formatMonth = makeDateFormat({ month: "short", year: "numeric" });
export const formatMoment = makeDateFormat({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function formatTimes(ticks, step) {
  if (step >= 28 * DAY_S) return ticks.map(formatMonth);
  return ticks.map((s) => (step >= DAY_S || s % DAY_S === 0 ? formatDay(s) : formatHour(s)));
}

/**
 * A chart inside an element. `describe()` returns uPlot's `series`, and perhaps `x` (`{time, local, label}`), `y`
 * (`{label, share, least, digits}`), `bands`, `hooks`, and `rest`, which finds the value that the legend tells by itself.
 */
export class Chart {
  constructor(place, describe) {
    this.place = place;
    this.describe = describe;
    this.data = null;
    this.plot = null;
    this.isZoomed = false;
    this.reset = document.createElement("button");
    this.reset.type = "button";
    this.reset.className = "reset";
    this.reset.hidden = true;
    this.reset.textContent = say("resetZoom");
    this.reset.addEventListener("click", () => this.showAll());
    place.after(this.reset);
    place.title = say("zoomHint");
    charts.add(this);
    new ResizeObserver(() => this.resize()).observe(place);
  }

  show(data) {
    this.data = data;
    if (this.plot && this.drawn === this.describeAxes()) this.plot.setData(data, !this.isZoomed);
    else this.draw();
    // Data that is not scaled anew is not drawn anew either.
    if (this.isZoomed) this.plot?.redraw();
  }

  /** Keep the part that is looked at while data comes, until somebody wants all of it again. */
  noteZoom(plot) {
    const xs = plot.data[0];
    this.isZoomed = xs.length > 1 && (plot.scales.x.min > xs[0] || plot.scales.x.max < xs[xs.length - 1]);
    this.reset.hidden = !this.isZoomed;
  }

  showAll() {
    this.isZoomed = false;
    this.reset.hidden = true;
    this.plot?.setData(this.data);
  }

  /** Name what setData cannot change: what is drawn, and in which unit. */
  describeAxes() {
    const { series, x = {}, y = {} } = this.describe();
    return JSON.stringify([series.map(({ label }) => label), x, y]);
  }

  draw() {
    if (!this.data) return;
    this.drawn = this.describeAxes();
    this.plot?.destroy();
    this.isZoomed = false;
    this.reset.hidden = true;
    const { series, x = {}, y = {}, bands = [], hooks = {}, rest = findNewest } = this.describe();
    // While nobody points at a value, the legend tells the one that matters.
    const showRest = (plot) => {
      const idx = isKnown(plot.cursor.idx) ? -1 : rest(plot.data[1] ?? []);
      if (idx >= 0) plot.setLegend({ idx });
    };
    const values = (_, ticks, __, ___, step) => ticks.map((tick) => (
      y.share ? `${formatNumber(100 * tick, countDigits(100 * step))} %` : formatNumber(tick, countDigits(step))));
    const formatValue = (_, value) => (value === null || value === undefined ? "–" : y.share ? `${formatNumber(100 * value, 1)} %` : formatNumber(value, y.digits ?? 1));
    const formatX = (_, value) => (value === null || value === undefined ? "–" : x.time ? (x.local ? formatLocalMoment : formatMoment)(value) : formatNumber(value));
    series[0] = { label: x.time ? say("time") : x.label, value: formatX };
    series.slice(1).forEach((line) => (line.value = formatValue));
    this.plot = new window.uPlot({
      width: this.width(), height: HEIGHT, bands, series,
      hooks: {
        ...hooks, ready: [showRest], setCursor: [showRest], setData: [showRest],
        setScale: [(plot, scale) => scale === "x" && this.noteZoom(plot)],
      },
      tzDate: (s) => window.uPlot.tzDate(new Date(s * 1e3), "Etc/UTC"),
      cursor: { points: { size: 7 } },
      scales: {
        x: { time: Boolean(x.time) },
        y: { range: (_, low, high) => padRange(low, high, y) },
      },
      axes: [
        makeAxis(x.time ? { values: (_, ticks, __, ___, step) => (x.local ? ticks.map(formatClock) : formatTimes(ticks, step)), space: 80, size: 36 } : { values: (_, ticks) => ticks.map((tick) => formatNumber(tick)), space: (_, __, least, most) => 20 + measure([least, most].map((end) => formatNumber(end))), label: x.label, size: 36, labelSize: 20, labelFont: FONT }),
        makeAxis({ values, size: (_, texts) => 24 + measure(["1234", ...(texts ?? [])]), label: y.label, labelSize: 20, labelFont: FONT }),
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

/** Return how wide the widest of some short texts is, in pixels. */
function measure(texts) {
  return DIGIT_PX * Math.max(...texts.map((text) => String(text ?? "").length));
}

const isKnown = (value) => value !== null && value !== undefined;

/** Return where the newest value of a line is; -1 where it has none. */
function findNewest(line) {
  return line.findLastIndex(isKnown);
}

/** Return where the value of a line is that is farthest from 0; -1 where it has none. */
export function findLargest(line) {
  return line.reduce((best, value, i) => (isKnown(value) && Math.abs(value) > Math.abs(line[best] ?? 0) ? i : best), -1);
}

/** Return how many digits after the point tell ticks apart. */
function countDigits(step) {
  let digits = 0;
  while (digits < 6 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits += 1;
  return digits;
}

function padRange(low, high, { least = null, share = false }) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || 1) * 0.08;
  return [least === null ? low - room : Math.min(least, low), share ? Math.min(1, high + room) : high + room];
}

/**
 * Draw a dashed vertical line at each of the marks that `list()` returns, behind the curves, with its letter on top.
 * A mark has the x that it stands `at`, a `letter`, and the name of a `colour`; letters that would overlap are left out.
 */
export function drawMarks(list) {
  return ({ ctx, bbox, scales, valToPos }) => {
    const pixel = window.devicePixelRatio;
    ctx.save();
    ctx.lineWidth = pixel;
    ctx.setLineDash([2 * pixel, 3 * pixel]);
    ctx.font = `600 ${11 * pixel}px Inter, system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "bottom";
    const places = new Map();
    for (const { at, letter, colour } of list()) {
      if (at < scales.x.min || at > scales.x.max) continue;
      const left = Math.round(valToPos(at, "x", true));
      ctx.strokeStyle = ctx.fillStyle = getColour(colour);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      if (left - (places.get(letter) ?? -Infinity) > 10 * pixel) {
        ctx.fillText(letter, left, bbox.top);
        places.set(letter, left);
      }
    }
    ctx.restore();
  };
}

/** Make a line: solid for the model, dashed for its baseline. */
export function makeLine(label, { baseline = false, ...more } = {}) {
  return {
    label, stroke: getColour(baseline ? "second" : "accent"), width: 2, dash: baseline ? [6, 4] : undefined,
    points: { show: false }, ...more,
  };
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => charts.forEach((chart) => chart.draw()));
