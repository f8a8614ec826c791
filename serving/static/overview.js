// Keeps the lines of all pipelines up to date: the server draws them, this replaces what has changed.

import { say, setText } from "./live.js";

const EVERY_MS = 1000;
const place = document.getElementById("overview");
const troubles = document.getElementById("troubles");
let timer = 0;

/** Replace the children that differ; what has the focus is seldom among them, and stays. */
function merge(old, fresh) {
  for (const name of ["data-state"]) if (fresh.hasAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
  const before = [...old.children];
  const after = [...fresh.children];
  if (before.length !== after.length) return old.replaceChildren(...after);
  before.forEach((child, i) => child.outerHTML !== after[i].outerHTML && child.replaceWith(after[i]));
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const summary = fresh.querySelector(".summary");
  setText(place.querySelector(".summary"), summary.textContent);
  place.querySelector(".summary").dataset.state = summary.dataset.state;
  const lines = [...fresh.querySelectorAll(".line")];
  const names = new Set(lines.map((line) => line.dataset.pipeline));
  for (const line of place.querySelectorAll(".line")) if (!names.has(line.dataset.pipeline)) line.remove();
  for (const line of lines) {
    const old = place.querySelector(`.line[data-pipeline="${CSS.escape(line.dataset.pipeline)}"]`);
    if (old) merge(old, line);
    else place.append(line);
  }
}

function tell(sentence) {
  troubles.hidden = !sentence;
  setText(troubles, sentence);
  document.documentElement.dataset.connection = sentence ? "lost" : "open";
}

async function refresh() {
  clearTimeout(timer);
  try {
    const response = await fetch(place.dataset.rows);
    if (!response.ok) throw new Error(response.status);
    show(await response.text());
    tell("");
  } catch {
    tell(say("lost"));
  }
  if (!document.hidden) timer = setTimeout(refresh, EVERY_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
