// Draws on the canvas, asks what digit it is, and tells the stream what is right.

import { fill, follow, number, percent, put, say } from "./live.js";

const PEN = 18;
const STEP = 8;
const ASK_MS = 350;
const LEARNED_S = 10;
const model = document.getElementById("content").dataset.pipeline;
const pad = document.getElementById("pad");
const context = pad.getContext("2d");
const byId = (id) => document.getElementById(id);
let strokes = [];
let current = null;
let pen = { x: 140, y: 60, down: false, used: false };
let asked = null;
let asking = 0;
let timer = 0;

// Drawing

function at(event) {
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

function svg() {
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

function begin(point) {
  clearTimeout(timer);
  current = [point];
  strokes.push(current);
  redraw();
}

function move([x, y]) {
  if (!current) return;
  const [lastX, lastY] = current[current.length - 1];
  if (Math.hypot(x - lastX, y - lastY) < 2) return;
  current.push([x, y]);
  redraw();
}

function end() {
  if (!current) return;
  current = null;
  clearTimeout(timer);
  timer = setTimeout(predict, ASK_MS);
}

function clear(message) {
  clearTimeout(timer);
  asking += 1;
  strokes = [];
  current = null;
  redraw();
  forget(message);
}

function forget(message) {
  asked = null;
  put(byId("answer"), "–");
  put(byId("message"), message);
  showPicture([]);
  showShares([]);
  allowFeedback();
  byId("progress")?.replaceChildren();
}

pad.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  pad.setPointerCapture(event.pointerId);
  pen.used = false;
  begin(at(event));
});
pad.addEventListener("pointermove", (event) => (event.getCoalescedEvents?.() ?? [event]).forEach((one) => move(at(one))));
for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, end);
for (const name of ["focus", "blur"]) pad.addEventListener(name, redraw);

const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

pad.addEventListener("keydown", (event) => {
  const step = MOVES[event.key];
  if (step) {
    pen.used = true;
    pen.x = Math.min(pad.width - PEN, Math.max(PEN, pen.x + step[0]));
    pen.y = Math.min(pad.height - PEN, Math.max(PEN, pen.y + step[1]));
    if (pen.down) move([pen.x, pen.y]);
    redraw();
  } else if (event.key === " ") {
    pen.used = true;
    pen.down = !pen.down;
    if (pen.down) begin([pen.x, pen.y]);
    else end();
    put(byId("message"), say(pen.down ? "penDown" : "penUp"));
    redraw();
  } else if (event.key === "Enter") {
    pen.down = false;
    current = null;
    predict();
  } else if (event.key === "Escape") {
    pen.down = false;
    clear(say("cleared"));
  } else return;
  event.preventDefault();
});

// Asking

function showPicture(pixels) {
  byId("picture").replaceChildren(...pixels.map((ink) => {
    const cell = document.createElement("i");
    cell.style.setProperty("opacity", ink / 16);
    return cell;
  }));
}

function showShares(shares, said = null) {
  for (const row of byId("shares").children) {
    const share = shares[Number(row.dataset.digit)] ?? null;
    row.classList.toggle("said", Number(row.dataset.digit) === said);
    fill(row.querySelector(".bar"), share ?? 0, 1);
    row.querySelector("span").textContent = percent(share);
  }
}

function allowFeedback() {
  for (const button of document.querySelectorAll("#feedback button")) button.disabled = !asked;
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

async function fetched(path, options) {
  const response = await fetch(path, options);
  const result = await response.json();
  if (!response.ok) throw new Refused(result);
  return result;
}

function explain(error) {
  return error instanceof Refused ? error.message : say("lost");
}

async function predict(sentence = "answered") {
  clearTimeout(timer);
  if (!strokes.length) return forget(say("drawFirst"));
  const turn = (asking += 1);
  const body = new URLSearchParams({ imgStr: "data:image/svg+xml;base64," + btoa(svg()) });
  try {
    const result = await fetched("/predict", { method: "POST", body });
    if (turn !== asking) return;
    if (sentence === "answered") byId("progress")?.replaceChildren();
    asked = result;
    const digit = result.predict_result;
    put(byId("answer"), String(digit));
    const values = { version: number(result.model_version), digit, share: percent(result.probabilities[digit]) };
    put(byId("message"), say(sentence, values));
    showPicture(result.picture);
    showShares(result.probabilities, digit);
    allowFeedback();
  } catch (error) {
    if (turn === asking) forget(explain(error));
  }
}

byId("predict").addEventListener("click", () => predict());
byId("clear").addEventListener("click", () => clear(say("drawHint")));
byId("undo").addEventListener("click", () => {
  strokes.pop();
  redraw();
  if (strokes.length) predict();
  else clear(say("drawHint"));
});

// Telling what is right

function tell(sentence) {
  const line = document.createElement("li");
  line.textContent = sentence;
  byId("progress").append(line);
}

async function feedBack(label) {
  const { id } = asked;
  // An answer that is still on its way says nothing of what is learned now.
  clearTimeout(timer);
  const turn = (asking += 1);
  const start = performance.now();
  const seconds = () => number((performance.now() - start) / 1000, 1);
  byId("progress").replaceChildren();
  tell(say("sending", { digit: label }));
  asked = null;
  allowFeedback();
  const token = sessionStorage.getItem("token");
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    const { offset } = await fetched(`/v2/models/${model}/feedback`, { method: "POST", headers, body: JSON.stringify({ id, label }) });
    tell(say("sent", { offset: number(offset) }));
    const { learned } = await fetched(`/v2/models/${model}/versions?learned=${offset}&wait=${LEARNED_S}`);
    if (!learned.learned) return tell(say("notYet", { offset: number(offset), seconds: LEARNED_S }));
    tell(say("learned", { version: number(learned.version), seconds: seconds() }));
    if (strokes.length && turn === asking) await predict("again");
  } catch (error) {
    tell(explain(error));
    if (error.code === "unauthorized") {
      byId("token").hidden = false;
      byId("token-field").focus();
    }
    if (strokes.length && turn === asking) await predict("again");
  }
}

byId("right")?.addEventListener("click", () => feedBack(asked.predict_result));
for (const button of document.querySelectorAll("button[data-label]")) {
  button.addEventListener("click", () => feedBack(Number(button.dataset.label)));
}
byId("token")?.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token-field").value);
  byId("token-field").value = "";
  byId("token").hidden = true;
});

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
follow(() => {});
