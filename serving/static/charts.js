// Charts in the page's colours: drawn again when the colours change, as wide as their place.

import { formatNumber, language, say } from "./live.js";

const HEIGHT = 300;
const FONT = "12px Inter, system-ui, sans-serif";
const DIGIT_PX = 7.5;
const LEAST_DRAG_PX = 5;
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
export const formatLocalMoment = makeLocalFormat({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
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
 * With a `timeline` it shows the stretch that this says, and has its cursor.
 */
export class Chart {
  constructor(place, describe, timeline = null) {
    this.place = place;
    this.describe = describe;
    this.timeline = timeline;
    this.data = null;
    this.times = null;
    this.plot = null;
    this.isZoomed = false;
    this.reset = document.createElement("button");
    this.reset.type = "button";
    this.reset.className = "reset quiet";
    this.reset.hidden = true;
    this.reset.textContent = say("resetZoom");
    this.reset.addEventListener("click", () => (timeline ? timeline.choose(null) : this.showAll()));
    place.after(this.reset);
    place.title = say("zoomHint");
    charts.add(this);
    timeline?.charts.add(this);
    new ResizeObserver(() => this.resize()).observe(place);
  }

  /** Show other data. With a timeline, `times` are the moments of its points, in seconds since 1970, ascending. */
  show(data, times = null) {
    this.data = data;
    this.times = times;
    if (this.plot && this.drawn === this.describeAxes()) this.plot.setData(data, !this.isZoomed);
    else this.draw();
    // Data that is not scaled anew is not drawn anew either.
    if (this.isZoomed) this.plot?.redraw();
    this.timeline?.arrange();
  }

  /** Whether x itself is the time. */
  get isAlongTime() {
    return this.times !== null && this.times === this.data[0];
  }

  findX(time) {
    return this.isAlongTime ? time : interpolate(this.times, this.data[0], time);
  }

  /** Return the time at a place of the page, or of the plot. */
  findTime(left) {
    const x = this.plot.posToVal(left, "x");
    return this.isAlongTime ? x : interpolate(this.data[0], this.times, x);
  }

  /** Show a stretch of time; a chart whose x is not the time shows all of its own where that is the whole. */
  showStretch(stretch, isWhole) {
    if (!this.plot || !this.times?.length || !stretch) return;
    const xs = this.data[0];
    let [min, max] = [this.findX(stretch.min), this.findX(stretch.max)];
    if (isWhole && !this.isAlongTime) [min, max] = [xs[0], xs[xs.length - 1]];
    if (!(min < max)) {
      // Nothing of it is in the stretch: show what is next to it.
      const at = Math.max(0, xs.findLastIndex((x) => x <= min));
      [min, max] = [xs[Math.max(0, at - 1)], xs[Math.min(xs.length - 1, at + 1)]];
    }
    this.isZoomed = !isWhole;
    this.reset.hidden = !this.timeline.zoomed;
    if (min < max) this.plot.setScale("x", { min, max });
  }

  /** Put the cursor at a moment, without being pointed at; take it away for null. */
  placeCursor(moment) {
    if (!this.plot || !this.times?.length) return;
    const left = moment === null ? -10 : this.plot.valToPos(this.findX(moment), "x");
    const isInside = left >= 0 && left <= this.plot.over.clientWidth;
    this.plot.setCursor(isInside ? { left, top: 0 } : { left: -10, top: -10 });
  }

  /** Name the first line's value as the legend tells it; empty where it has none. */
  describeCursor() {
    const value = this.plot?.legend.values[1]?._;
    return value && value !== "–" ? `${this.plot.series[1].label} ${value}` : "";
  }

  /** Let the mouse and a finger move the cursor of all charts. */
  listen(plot) {
    const point = ({ clientX }) => this.timeline.point(this.findTime(clientX - plot.over.getBoundingClientRect().left), this);
    plot.over.addEventListener("mousemove", (event) => this.times && point(event));
    plot.over.addEventListener("mouseleave", () => this.timeline.point(null));
    for (const kind of ["pointerdown", "pointermove"]) {
      plot.over.addEventListener(kind, (event) => {
        if (event.pointerType === "mouse" || !this.times) return;
        point(event);
        this.placeCursor(this.timeline.moment);
      });
    }
  }

  /** Show the dragged part in all charts. */
  takeDrag(plot) {
    const { left, width } = plot.select;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width >= LEAST_DRAG_PX && this.times) this.timeline.zoom(this.findTime(left), this.findTime(left + width));
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
    const shared = this.timeline;
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
        ...hooks, ready: shared ? [showRest, (plot) => this.listen(plot)] : [showRest], setCursor: [showRest], setData: [showRest],
        ...(shared
          ? { setSelect: [(plot) => this.takeDrag(plot)], draw: [...(hooks.draw ?? []), () => shared.follow(this)] }
          : { setScale: [(plot, scale) => scale === "x" && this.noteZoom(plot)] }),
      },
      tzDate: (s) => window.uPlot.tzDate(new Date(s * 1e3), "Etc/UTC"),
      cursor: {
        points: { size: 7 },
        ...(shared ? { y: false, drag: { setScale: false, x: true }, bind: { dblclick: () => () => shared.choose(null) } } : {}),
      },
      scales: {
        x: { time: Boolean(x.time), range: (plot, low, high) => (plot.data[0].length === 1 ? widenPoint(low, x) : [low, high]) },
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

/** Return the value of `to` where `from`, which ascends, has the given one; beyond its ends, the value there. */
function interpolate(from, to, value) {
  const at = from.findIndex((other) => other >= value);
  if (at <= 0) return at ? to[to.length - 1] : to[0];
  const share = (value - from[at - 1]) / (from[at] - from[at - 1]);
  return to[at - 1] + share * (to[at] - to[at - 1]);
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

/** Return the range of x around a single point; of a time, uPlot would show the thousand days after it. */
function widenPoint(point, { time = false, local = false }) {
  const room = local ? 30 : time ? DAY_S / 2 : 1;
  return [point - room, point + room];
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
dark.addEventListener("change", () => charts.forEach((chart) => {
  chart.draw();
  chart.timeline?.arrange();
}));
