// One stretch of time for all charts of a page, and one cursor over them: by mouse, finger or keyboard.

import { formatLocalMoment } from "./charts.js";
import { formatAge, say, setText } from "./live.js";

const LEAST_S = 2;
const STEPS = 1000;

/** What a page's charts show together: the newest seconds, all that is known, or a stretch that somebody chose. */
class Timeline {
  constructor(place) {
    this.charts = new Set();
    this.lasting_s = null;
    this.zoomed = null;
    this.moment = null;
    this.source = null;
    [this.choices, this.slider, this.words, this.reset] = ["choices", "moment", "words", "reset"].map((name) => place.querySelector(`[data-is="${name}"]`));
    this.choices.addEventListener("change", ({ target }) => this.choose(Number(target.value) || null));
    this.slider.addEventListener("input", () => this.point(Number(this.slider.value) < STEPS ? this.findMoment() : null));
    this.slider.addEventListener("keydown", ({ key }) => key === "Escape" && this.point(null));
    place.querySelector('[data-is="closer"]').addEventListener("click", () => this.scale(1 / 2));
    place.querySelector('[data-is="wider"]').addEventListener("click", () => this.scale(2));
    this.reset.addEventListener("click", () => this.choose(null));
  }

  /** From when to when anything is known, in seconds since 1970; null before that. */
  findExtent() {
    const known = [...this.charts].filter((chart) => chart.isAlongTime && chart.times.length).map(({ times }) => times);
    if (!known.length) return null;
    return { min: Math.min(...known.map((times) => times[0])), max: Math.max(...known.map((times) => times[times.length - 1])) };
  }

  /** The stretch that is shown. */
  findStretch() {
    const extent = this.findExtent();
    if (this.zoomed || !extent || !this.lasting_s) return this.zoomed ?? extent;
    return { min: Math.max(extent.min, extent.max - this.lasting_s), max: extent.max };
  }

  /** Show the newest seconds, or all for null. */
  choose(lasting_s) {
    this.lasting_s = lasting_s;
    this.zoomed = null;
    this.arrange();
  }

  zoom(min, max) {
    const centre = (min + max) / 2;
    const half = Math.max(LEAST_S, max - min) / 2;
    this.lasting_s = null;
    this.zoomed = { min: centre - half, max: centre + half };
    this.arrange();
  }

  /** Show more or less around the cursor, or around the newest; once all is shown, all. */
  scale(factor) {
    const [extent, stretch] = [this.findExtent(), this.findStretch()];
    if (!extent) return;
    const width = Math.max(LEAST_S, factor * (stretch.max - stretch.min));
    if (width >= extent.max - extent.min) return this.choose(null);
    const centre = this.moment ?? (this.zoomed ? (stretch.min + stretch.max) / 2 : stretch.max);
    const min = Math.max(extent.min, Math.min(extent.max - width, centre - width / 2));
    this.zoom(min, min + width);
  }

  /** Let all charts show the stretch, and the buttons say which it is. */
  arrange() {
    const stretch = this.findStretch();
    const isWhole = !this.zoomed && !this.lasting_s;
    for (const chart of this.charts) chart.showStretch(stretch, isWhole);
    const value = this.zoomed ? null : String(this.lasting_s ?? "");
    for (const choice of this.choices.querySelectorAll("input")) choice.checked = choice.value === value;
    this.reset.hidden = !this.zoomed;
    this.showWords(stretch);
  }

  showWords(stretch) {
    if (!stretch) return;
    const [from, to] = [stretch.min, stretch.max].map(formatLocalMoment);
    setText(this.words, say("stretch", { from, to, age: formatAge(this.findExtent()?.min ?? stretch.min) }));
    const share = this.moment === null ? 1 : (this.moment - stretch.min) / (stretch.max - stretch.min);
    if (document.activeElement !== this.slider) this.slider.value = Math.round(STEPS * Math.min(1, Math.max(0, share)));
    const values = [...this.charts].map((chart) => chart.describeCursor()).filter(Boolean);
    this.slider.setAttribute("aria-valuetext", [this.moment === null ? say("newest") : formatLocalMoment(this.moment), ...values].join("; "));
  }

  findMoment() {
    const { min, max } = this.findStretch() ?? { min: 0, max: 0 };
    return min + (Number(this.slider.value) / STEPS) * (max - min);
  }

  /** Put the cursor of all charts at a moment; take it away for null. `source` has one of its own. */
  point(moment, source = null) {
    this.moment = moment;
    this.source = moment === null ? null : source;
    for (const chart of this.charts) if (chart !== source) chart.placeCursor(moment);
    this.showWords(this.findStretch());
  }

  /** Keep a chart's cursor at its moment while data moves below it; what is pointed at stays where it is. */
  follow(chart) {
    if (this.moment === null) return;
    if (chart === this.source) this.point(chart.findTime(chart.plot.cursor.left), chart);
    else chart.placeCursor(this.moment);
  }
}

export const timeline = new Timeline(document.getElementById("timeline"));
