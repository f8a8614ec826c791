// Draws on the canvas, sends the strokes as an SVG, shows the answer and which model gave it.
"use strict";

const PEN = 18;
const POLL_MS = 1000;
const pad = document.getElementById("pad");
const context = pad.getContext("2d");
const strokes = [];
let current = null;

function at(event) {
  const box = pad.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * pad.width) / box.width,
    ((event.clientY - box.top) * pad.height) / box.height,
  ];
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

function show(answer, message) {
  document.getElementById("answer").textContent = answer;
  document.getElementById("message").textContent = message;
}

function showPicture(pixels) {
  const cells = pixels.map((ink) => {
    const cell = document.createElement("i");
    cell.style.setProperty("opacity", ink / 16);
    return cell;
  });
  document.getElementById("picture").replaceChildren(...cells);
}

async function predict() {
  if (!strokes.length) return show("–", "Draw something first.");
  const body = new URLSearchParams({ imgStr: "data:image/svg+xml;base64," + btoa(svg()) });
  try {
    const response = await fetch("/predict", { method: "POST", body });
    const result = await response.json();
    if (!response.ok) return show("–", result.error);
    show(result.predict_result, `Answered by version ${result.model_version}.`);
    showPicture(result.picture);
  } catch {
    show("–", "The server does not answer; try again in a moment.");
  }
}

async function fetched(path) {
  const response = await fetch(path);
  const result = await response.json();
  if (!response.ok) throw new Error(result.error);
  return result;
}

function cells(values) {
  const row = document.createElement("tr");
  row.append(...values.map((value) => {
    const cell = document.createElement("td");
    cell.textContent = value === null || value === undefined ? "–" : typeof value === "number" ? value.toFixed(1) : value;
    return cell;
  }));
  return row;
}

function showForecast(place, forecast, scores) {
  place.querySelector("tbody").replaceChildren(
    ...Object.entries(forecast).map(([h, value]) =>
      cells([h, value, scores[`h${h}_rmse`], scores[`h${h}_persistence_rmse`]])),
  );
}

async function showServed(place, model) {
  const line = place.querySelector(".served");
  try {
    const { versions, parameters } = await fetched(`/v2/models/${model}`);
    if (!versions.length) throw new Error("No model has been learned yet; looking again …");
    const { version, samples, accuracy, age_s, ...scores } = parameters;
    const share = typeof accuracy === "number" ? `, ${(100 * accuracy).toFixed(1)} % right before learning them` : "";
    let text = `Version ${version} is served, written ${age_s.toFixed(0)} s ago: ${samples} records scored${share}.`;
    if ("forecast" in place.dataset) {
      const { ts, forecast } = await fetched(`/v2/models/${model}/forecast`);
      showForecast(place, forecast, scores);
      text = `After the record of ${ts}. ${text}`;
    }
    line.textContent = text;
  } catch (error) {
    line.textContent = error instanceof TypeError ? "The server does not answer; looking again …" : error.message;
  }
  setTimeout(showServed, POLL_MS, place, model);
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  current = [at(event)];
  strokes.push(current);
  redraw();
});
pad.addEventListener("pointermove", (event) => {
  if (!current) return;
  const [x, y] = at(event);
  const [lastX, lastY] = current[current.length - 1];
  if (Math.hypot(x - lastX, y - lastY) < 2) return;
  current.push([x, y]);
  redraw();
});
for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => (current = null));
document.getElementById("predict").addEventListener("click", predict);
document.getElementById("clear").addEventListener("click", () => {
  strokes.length = 0;
  redraw();
  showPicture([]);
  show("–", "Draw with the mouse, a finger or a pen.");
});
showServed(document.querySelector("footer"), document.body.dataset.model);
for (const place of document.querySelectorAll("section[data-model]")) showServed(place, place.dataset.model);
