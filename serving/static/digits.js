// Draws on the canvas, asks the model which digit it is, and sends corrections to the stream.

import { fillBar, follow, formatNumber, formatPercent, say, setText } from "./live.js";

const PEN = 18;
const STEP = 8;
const PREDICT_AFTER_MS = 350;
const LEARN_WAIT_S = 10;
const model = document.getElementById("content").dataset.pipeline;
const pad = document.getElementById("pad");
const context = pad.getContext("2d");
const byId = (id) => document.getElementById(id);
let strokes = [];
let current = null;
let pen = { x: 140, y: 60, down: false, used: false };
let answer = null;
let requests = 0;
let timer = 0;

// Drawing

function locate(event) {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
}

function redraw() {
  context.clearRect(0, 0, pad.width, pad.height);
  context.lineWidth = PEN;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = getComputedStyle(pad).color;
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.1, stroke[0][1]);
    context.stroke();
  }
  if (pen.used && document.activeElement === pad) {
    context.lineWidth = 2;
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    context.beginPath();
    context.arc(pen.x, pen.y, pen.down ? PEN / 2 : PEN, 0, 2 * Math.PI);
    context.stroke();
  }
}

function makeSvg() {
  const lines = strokes.map((stroke) => {
    const points = stroke.length > 1 ? stroke : [stroke[0], [stroke[0][0] + 0.1, stroke[0][1]]];
    return `<polyline points="${points.map((p) => p.map((n) => n.toFixed(1)).join(",")).join(" ")}"/>`;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${pad.width}" height="${pad.height}">` +
    `<g fill="none" stroke="black" stroke-width="${PEN}" stroke-linecap="round" stroke-linejoin="round">` +
    lines.join("") + "</g></svg>"
  );
}

function beginStroke(point) {
  clearTimeout(timer);
  forgetCorrections();
  current = [point];
  strokes.push(current);
  redraw();
}

function extendStroke([x, y]) {
  if (!current) return;
  const [lastX, lastY] = current[current.length - 1];
  if (Math.hypot(x - lastX, y - lastY) < 2) return;
  current.push([x, y]);
  redraw();
}

function endStroke() {
  if (!current) return;
  current = null;
  clearTimeout(timer);
  timer = setTimeout(predict, PREDICT_AFTER_MS);
}

function clearDrawing(message) {
  clearTimeout(timer);
  requests += 1;
  strokes = [];
  current = null;
  redraw();
  clearAnswer(message);
}

function clearAnswer(message) {
  answer = null;
  setText(byId("answer"), "–");
  setText(byId("short"), "");
  setText(byId("message"), message);
  showPicture([]);
  showShares([]);
  allowFeedback();
  byId("progress")?.replaceChildren();
  forgetCorrections();
}

pad.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  pad.setPointerCapture(event.pointerId);
  pen.used = false;
  beginStroke(locate(event));
});
pad.addEventListener("pointermove", (event) => (event.getCoalescedEvents?.() ?? [event]).forEach((moment) => extendStroke(locate(moment))));
for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, endStroke);
for (const name of ["focus", "blur"]) pad.addEventListener(name, redraw);

const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

pad.addEventListener("keydown", (event) => {
  const step = MOVES[event.key];
  if (step) {
    pen.used = true;
    pen.x = Math.min(pad.width - PEN, Math.max(PEN, pen.x + step[0]));
    pen.y = Math.min(pad.height - PEN, Math.max(PEN, pen.y + step[1]));
    if (pen.down) extendStroke([pen.x, pen.y]);
    redraw();
  } else if (event.key === " ") {
    pen.used = true;
    pen.down = !pen.down;
    if (pen.down) beginStroke([pen.x, pen.y]);
    else endStroke();
    setText(byId("message"), say(pen.down ? "penDown" : "penUp"));
    redraw();
  } else if (event.key === "Enter") {
    pen.down = false;
    current = null;
    predict();
  } else if (event.key === "Escape") {
    pen.down = false;
    clearDrawing(say("cleared"));
  } else return;
  event.preventDefault();
});

// The answer

function showPicture(pixels) {
  byId("picture").replaceChildren(...pixels.map((ink) => {
    const cell = document.createElement("i");
    cell.style.setProperty("opacity", ink / 16);
    return cell;
  }));
}

function showShares(shares, predicted = null) {
  for (const row of byId("shares").children) {
    const share = shares[Number(row.dataset.digit)] ?? null;
    row.classList.toggle("predicted", Number(row.dataset.digit) === predicted);
    fillBar(row.querySelector(".bar"), share ?? 0, 1);
    row.querySelector("span").textContent = formatPercent(share);
  }
}

function allowFeedback() {
  for (const button of document.querySelectorAll("#feedback button")) button.disabled = !answer;
}

const SENTENCES = {
  no_model: "noModel", bad_drawing: "badDrawing", too_many_requests: "tooMany", feedback_off: "feedbackOff",
  unauthorized: "unauthorized", broker_unavailable: "brokerAway",
};

class Refused extends Error {
  constructor({ error, code }) {
    super(SENTENCES[code] ? say(SENTENCES[code]) : error);
    this.code = code;
  }
}

async function fetchJson(path, options) {
  const response = await fetch(path, options);
  const result = await response.json();
  if (!response.ok) throw new Refused(result);
  return result;
}

function describeError(error) {
  return error instanceof Refused ? error.message : say("lost");
}

async function predict(sentence = "answered") {
  clearTimeout(timer);
  if (!strokes.length) return clearAnswer(say("drawFirst"));
  const turn = (requests += 1);
  const body = new URLSearchParams({ imgStr: "data:image/svg+xml;base64," + btoa(makeSvg()) });
  try {
    const result = await fetchJson("/predict", { method: "POST", body });
    if (turn !== requests) return;
    if (sentence === "answered") byId("progress")?.replaceChildren();
    answer = result;
    const digit = result.predict_result;
    setText(byId("answer"), String(digit));
    const values = { version: formatNumber(result.model_version), digit, share: formatPercent(result.probabilities[digit]) };
    setText(byId("message"), say(sentence, values));
    setText(byId("short"), `${digit} · ${values.share}`);
    showPicture(result.picture);
    showShares(result.probabilities, digit);
    allowFeedback();
  } catch (error) {
    if (turn === requests) clearAnswer(describeError(error));
  }
}

byId("predict").addEventListener("click", () => predict());
byId("clear").addEventListener("click", () => clearDrawing(say("drawHint")));
byId("undo").addEventListener("click", () => {
  strokes.pop();
  forgetCorrections();
  redraw();
  if (strokes.length) predict();
  else clearDrawing(say("drawHint"));
});

// Feedback

function showProgress(sentence) {
  const line = document.createElement("li");
  line.textContent = sentence;
  byId("progress").append(line);
}

/** Add a correction's row: the probability of the right digit before and after, and what is answered now. */
function showCorrection(label, before, { probabilities, predict_result: digit }) {
  const after = probabilities[label];
  const values = { digit: label, before: formatPercent(before), after: formatPercent(after) };
  showProgress(say("moved", values));
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(document.createElement("i"));
  bar.firstElementChild.style.width = `${100 * after}%`;
  const rows = byId("moves").querySelector("tbody");
  const row = rows.insertRow();
  const share = document.createElement("span");
  share.append(values.after);
  for (const content of [`${rows.rows.length}. ${label}`, values.before, bar, String(digit)]) row.insertCell().append(content);
  row.cells[2].append(share);
  byId("moves").hidden = false;
}

function forgetCorrections() {
  byId("moves")?.querySelector("tbody").replaceChildren();
  if (byId("moves")) byId("moves").hidden = true;
}

async function sendFeedback(label) {
  const { id, probabilities } = answer;
  // An answer that is still on its way is older than this label.
  clearTimeout(timer);
  const turn = (requests += 1);
  const start = performance.now();
  const seconds = () => formatNumber((performance.now() - start) / 1000, 1);
  byId("progress").replaceChildren();
  showProgress(say("sending", { digit: label }));
  answer = null;
  allowFeedback();
  const token = sessionStorage.getItem("token");
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    const { offset, partition } = await fetchJson(`/v2/models/${model}/feedback`, { method: "POST", headers, body: JSON.stringify({ id, label }) });
    showProgress(say("sent", { offset: formatNumber(offset) }));
    const { learned } = await fetchJson(`/v2/models/${model}/versions?learned=${offset}&partition=${partition}&wait=${LEARN_WAIT_S}`);
    if (!learned.learned) return showProgress(say("notYet", { offset: formatNumber(offset), seconds: LEARN_WAIT_S }));
    showProgress(say("learned", { version: formatNumber(learned.version), seconds: seconds() }));
    if (!strokes.length || turn !== requests) return;
    await predict("again");
    if (answer && turn === requests - 1) showCorrection(label, probabilities[label], answer);
  } catch (error) {
    showProgress(describeError(error));
    if (error.code === "unauthorized") {
      byId("token").hidden = false;
      byId("token-field").focus();
    }
    if (strokes.length && turn === requests) await predict("again");
  }
}

byId("right")?.addEventListener("click", () => sendFeedback(answer.predict_result));
for (const button of document.querySelectorAll("button[data-label]")) {
  button.addEventListener("click", () => sendFeedback(Number(button.dataset.label)));
}
byId("token")?.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token-field").value);
  byId("token-field").value = "";
  byId("token").hidden = true;
});

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
follow(() => {});
