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

async function showServed() {
  const line = document.getElementById("served");
  try {
    const response = await fetch(`/v2/models/${document.body.dataset.model}`);
    const result = await response.json();
    if (!response.ok) {
      line.textContent = result.error;
    } else {
      const { version, samples, accuracy } = result.parameters;
      const share = accuracy === null ? "not scored yet" : `${(100 * accuracy).toFixed(1)} % right before learning them`;
      line.textContent = `Version ${version} is served: ${samples} records scored, ${share}.`;
    }
  } catch {
    line.textContent = "The server does not answer; looking again …";
  }
  setTimeout(showServed, POLL_MS);
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  current = [at(event)];
  strokes.push(current);
  redraw();
});
pad.addEventListener("pointermove", (event) => {
  if (!current) return;
  current.push(at(event));
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
showServed();
