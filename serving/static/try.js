// Sends the record of the form to the model, as any client would, and shows all that it answers.

import { fillBar, follow, formatNumber, formatPercent, isPolled, say, setText } from "./live.js";

const content = document.getElementById("content");
const shown = JSON.parse(document.getElementById("shown").textContent);
const form = document.getElementById("form");
const fields = [...form.querySelectorAll("[data-field]")];
const inputOf = (field) => field.querySelector("input, select, textarea");
const ASK_EVERY_MS = 1000;
const unit = shown.unit ? ` ${shown.unit}` : "";
let before = [];
let isFilled = false;
let askedAt = 0;

// The record

function makeText(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value).replace(/^\[|\]$/g, "").replaceAll(",", ", ") : String(value);
}

function fill(records) {
  if (!records.length) return;
  isFilled = true;
  before = records.slice(0, -1);
  const newest = records[records.length - 1];
  for (const field of fields) inputOf(field).value = makeText(newest[field.dataset.field]);
  paint();
}

async function fetchExample() {
  askedAt = Date.now();
  const response = await fetch(content.dataset.example);
  if (response.ok) fill(await response.json());
}

class Wrong extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

function readNumber(text, field) {
  const number = Number(text.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2"));
  if (text.trim() === "" || Number.isNaN(number)) throw new Wrong(field, say("noNumber", { field: field.dataset.field, value: text }));
  return number;
}

function readList(text, field) {
  const items = text.replace(/^\s*\[|\]\s*$/g, "").split(/[,;\s]+/).filter(Boolean);
  const length = field.dataset.length;
  if (length && items.length !== Number(length)) throw new Wrong(field, say("wrongLength", { field: field.dataset.field, length, n: items.length }));
  return field.dataset.datatype === "BYTES" ? items.map((item) => item.replace(/^"|"$/g, "")) : items.map((item) => readNumber(item, field));
}

/** Return what a field holds; undefined where it is left out, null where a number that must be there is missing. */
function readField(field) {
  const text = inputOf(field).value;
  const { kind, datatype, required } = field.dataset;
  if (text === "" && !required) return undefined;
  if (kind === "list") return readList(text, field);
  if (kind === "switch") return text === "true";
  if (datatype === "BYTES") return text;
  return text.trim() === "" ? null : readNumber(text, field);
}

function makeRequest() {
  const record = new Map(fields.map((field) => [field, readField(field)]));
  const inputs = [];
  for (const [field, value] of record) {
    if (value === undefined) continue;
    const { field: name, datatype, kind } = field.dataset;
    const rows = [...before.map((other) => other[name] ?? null), value];
    const columns = kind === "list" ? [value.length] : [];
    inputs.push({ name, datatype, shape: [rows.length, ...columns], data: rows.flat() });
  }
  return { inputs };
}

// A picture

function paint() {
  for (const place of form.querySelectorAll(".paint")) {
    const field = place.closest("[data-field]");
    const numbers = inputOf(field).value.split(/[,;\s]+/).map(Number);
    const most = Number(field.dataset.high) || Math.max(1, ...numbers.filter(Number.isFinite));
    if (place.children.length !== Number(field.dataset.length)) {
      place.style.setProperty("grid-template-columns", `repeat(${place.dataset.columns}, 1fr)`);
      place.replaceChildren(...Array.from({ length: Number(field.dataset.length) }, () => document.createElement("i")));
    }
    [...place.children].forEach((cell, i) => cell.style.setProperty("opacity", Math.min(1, Math.max(0, (numbers[i] || 0) / most))));
  }
}

function paintCell(event) {
  const cell = document.elementFromPoint(event.clientX, event.clientY);
  const place = event.currentTarget;
  if (!event.buttons || cell?.parentElement !== place) return;
  const field = place.closest("[data-field]");
  const input = inputOf(field);
  const numbers = input.value.trim() ? input.value.split(/[,;\s]+/) : Array(Number(field.dataset.length)).fill("0");
  const most = field.dataset.high ?? "1";
  const at = [...place.children].indexOf(cell);
  if (event.type === "pointerdown") place.dataset.ink = Number(numbers[at]) > 0 ? "0" : String(Number(most));
  numbers[at] = place.dataset.ink;
  input.value = numbers.join(", ");
  paint();
}

for (const place of form.querySelectorAll(".paint")) {
  place.addEventListener("pointerdown", (event) => { place.releasePointerCapture(event.pointerId); paintCell(event); });
  place.addEventListener("pointermove", paintCell);
}
form.addEventListener("input", () => {
  isFilled = true;
  paint();
});
paint();

// The answer

function makeElement(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Show the probabilities of classes as bars, the largest first where there are many. */
function showShares(output, row) {
  const classes = output.parameters.classes;
  const shares = classes.map((name, i) => [name, row[i]]);
  if (classes.length > 12) shares.sort((one, other) => other[1] - one[1]).splice(12);
  const list = makeElement("dl", undefined, "shares");
  const largest = Math.max(...row);
  list.append(...shares.map(([name, share]) => {
    const line = makeElement("div", undefined, share === largest ? "predicted" : "");
    const bar = makeElement("div", undefined, "bar");
    bar.append(makeElement("i"));
    bar.setAttribute("role", "meter");
    bar.setAttribute("aria-label", name);
    bar.setAttribute("aria-valuemin", 0);
    fillBar(bar, share, 1);
    const cell = makeElement("dd");
    cell.append(bar, makeElement("span", formatPercent(share)));
    line.append(makeElement("dt", name), cell);
    return line;
  }));
  return [makeElement("h3", output.name), list];
}

function nameOutput(name) {
  const horizon = /^h(\d+)$/.exec(name)?.[1];
  return content.dataset.windowed && horizon ? say("ahead", { steps: `${horizon} ${shown.step_unit || say("step")}` }) : name;
}

function formatOutput(value) {
  if (typeof value !== "number") return value === null ? "–" : String(value);
  if (content.dataset.windowed) return formatNumber(value, 1) + unit;
  return formatNumber(value, Number.isInteger(value) ? 0 : 4);
}

function showAnswer({ model_version, outputs }) {
  const place = document.getElementById("outputs");
  const table = makeElement("table");
  const parts = [];
  for (const output of outputs) {
    if (output.parameters?.classes && output.data.length === output.parameters.classes.length) {
      parts.push(...showShares(output, output.data));
      continue;
    }
    const row = table.insertRow();
    const head = makeElement("th", nameOutput(output.name));
    head.scope = "row";
    row.append(head, makeElement("td", output.data.map(formatOutput).join(", ")));
  }
  place.replaceChildren(...(table.rows.length ? [table] : []), ...parts);
  const version = formatNumber(/^\d+$/.test(model_version) ? Number(model_version) : model_version);
  setText(document.getElementById("message"), say("says", { version }));
}

function showError(error) {
  document.getElementById("outputs").replaceChildren();
  setText(document.getElementById("message"), error.message);
  for (const field of fields) inputOf(field).toggleAttribute("aria-invalid", field === error.field);
  if (error.field) inputOf(error.field).focus();
}

async function ask() {
  const response = await fetch(content.dataset.infer, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(makeRequest()) });
  const result = await response.json();
  if (!response.ok) throw new Wrong(null, result.error);
  showError({ message: "", field: null });
  showAnswer(result);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask().catch((error) => showError(error instanceof Wrong ? error : new Wrong(null, say("lost"))));
});
document.getElementById("fill").addEventListener("click", () => fetchExample().catch(() => {}));
follow((message) => {
  // A process of the server that has not read Kafka yet has no example.
  if (!isFilled && isPolled(message, "kafka") && Date.now() - askedAt >= ASK_EVERY_MS) fetchExample().catch(() => {});
});
