// The summaries of one pipeline: fetched again every few seconds, each drawn and shown in figures.

import { Chart, makeLine } from "./charts.js";
import { follow, formatAge, formatNumber, formatPercent, say, setText } from "./live.js";
import { fillMatrix } from "./matrix.js";

const byId = (id) => document.getElementById(id);
const FETCH_EVERY_MS = 10000;
const DRAWN = 5000;
const NEWEST = 12;
const FEW = 60;

const readTime = (text) => Date.parse(`${text.replace(" ", "T")}Z`) / 1000;

function makeDigits(name, rows) {
  return rows.some((row) => typeof row[name] === "number" && !Number.isInteger(row[name])) ? 2 : 0;
}

/** One summary: its rows, the group of them that is chosen, and where they are shown. */
class Card {
  constructor(described) {
    Object.assign(this, described);
    this.section = document.querySelector(`[data-summary="${CSS.escape(this.name)}"]`);
    // The chart's legend is a table as well.
    this.table = this.section.querySelector(".scroll table");
    this.selects = [...this.section.querySelectorAll("[data-group]")];
    this.rows = [];
    this.drawn = [];
    for (const select of this.selects) select.addEventListener("change", () => this.show());
    if (this.chart.length) this.plot = new Chart(byId(`summary-${this.name}`), () => this.describe());
  }

  describe() {
    const { unit } = this.columns.find(({ name }) => name === this.chart[0]);
    const points = { show: this.drawn.length <= FEW, size: 5 };
    return {
      x: this.isAlongTime() ? { time: true } : { label: this.x },
      y: unit === "share" ? { share: true } : { least: 0, label: unit, digits: Math.max(...this.chart.map((name) => makeDigits(name, this.rows))) },
      series: [{}, ...this.chart.map((name, i) => makeLine(name, { baseline: i > 0, points }))],
    };
  }

  isAlongTime() {
    return this.x === "window_start";
  }

  async fetch() {
    const response = await fetch(`${this.url}?format=json&last=${DRAWN}`);
    if (!response.ok) return;
    const { rows, written_s: written } = await response.json();
    Object.assign(this, { rows, written });
    this.offerGroups();
    // What is hidden has no width to be drawn in.
    this.section.hidden = false;
    this.show();
  }

  /** Offer the values of the groups that there are; the one that was chosen stays. */
  offerGroups() {
    for (const select of this.selects) {
      const values = [...new Set(this.rows.map((row) => row[select.dataset.group]))];
      values.sort((a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b))));
      const texts = values.map(String);
      if ([...select.options].map(({ value }) => value).join("\n") === texts.join("\n")) continue;
      const chosen = select.value;
      select.replaceChildren(...texts.map((text) => new Option(text, text)));
      if (texts.includes(chosen)) select.value = chosen;
      else if (select.dataset.group === "window_start") select.value = texts.at(-1);
    }
  }

  show() {
    if (this.isMatrix) this.showMatrix();
    else this.showRows();
    if (this.plot && this.drawn.length) {
      const x = this.drawn.map((row) => (this.isAlongTime() ? readTime(row[this.x]) : row[this.x]));
      this.plot.show([x, ...this.chart.map((name) => this.drawn.map((row) => row[name]))]);
    }
    setText(byId(`summary-${this.name}-words`), say("summaryRows", { n: formatNumber(this.rows.length), age: formatAge(this.written) }));
  }

  showRows() {
    this.drawn = this.rows.filter((row) => this.selects.every((select) => String(row[select.dataset.group]) === select.value));
    const newest = this.isAlongTime() ? this.drawn.slice(-NEWEST).reverse() : this.drawn;
    const digits = Object.fromEntries(this.columns.map(({ name }) => [name, makeDigits(name, this.rows)]));
    this.table.tBodies[0].replaceChildren(...newest.map((row) => {
      const line = document.createElement("tr");
      line.append(...this.columns.map(({ name, unit }) => {
        const cell = document.createElement("td");
        cell.textContent = unit === "share" ? formatPercent(row[name]) : formatNumber(row[name], digits[name]);
        return cell;
      }));
      return line;
    }));
  }

  showMatrix() {
    const [truth, prediction] = [this.x, this.groups[0]];
    const count = this.columns.find(({ name }) => name !== truth && name !== prediction).name;
    const classes = [...new Set(this.rows.flatMap((row) => [row[truth], row[prediction]]))].sort((a, b) => (a > b) - (a < b));
    const counts = classes.map(() => classes.map(() => 0));
    for (const row of this.rows) counts[classes.indexOf(row[truth])][classes.indexOf(row[prediction])] = row[count];
    fillMatrix(this.table, classes.map(String), counts);
  }
}

const cards = JSON.parse(byId("cards").textContent).map((described) => new Card(described));

async function fetchAll() {
  const response = await fetch(byId("content").dataset.summaries);
  if (!response.ok) return;
  const { summaries } = await response.json();
  const written = new Set(summaries.filter(({ rows }) => rows > 0).map(({ name }) => name));
  byId("nothing").hidden = written.size > 0;
  await Promise.all(cards.filter(({ name }) => written.has(name)).map((card) => card.fetch()));
}

async function fetchAgain() {
  if (!document.hidden) await fetchAll().catch(() => {});
  setTimeout(fetchAgain, FETCH_EVERY_MS);
}

follow(() => {});
fetchAgain();
