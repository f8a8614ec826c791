// Which drivers lead the value, by how many steps: fetched again whenever another version is served.

import { Chart, findLargest, getColour, makeLine } from "./charts.js";
import { endReading, follow, formatNumber, isPolled, say, setText } from "./live.js";

const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
const unit = shown.step_unit || say("step");
const formatLag = (lag) => `${formatNumber(lag)} ${unit}`;
const FETCH_EVERY_MS = 2000;
let lags = null;
let fetchedAt = 0;

function makeBars(id) {
  return new Chart(byId(id), () => ({
    x: { label: say("lag", { unit }) }, y: { label: "r", digits: 3 },
    series: [
      {}, { label: "r", stroke: getColour("accent"), fill: getColour("accent"), paths: window.uPlot.paths.bars({ size: [0.7, 12] }), points: { show: false } },
      makeLine(say("above"), { baseline: true, width: 1 }), makeLine(say("below"), { baseline: true, width: 1 }),
    ],
    bands: [{ series: [2, 3], fill: getColour("area") }], rest: findLargest,
  }));
}

const charts = { prewhitened: makeBars("white"), raw: makeBars("raw") };
const captions = { prewhitened: "white-words", raw: "raw-words" };

/** Say where a correlation is largest; where that is not ahead, also how far ahead the driver leads most clearly. */
function describeLead(title, { best_lag: lag, best_r: r, n }, lead) {
  if (lag === null) return say("tooFewSteps", { driver: title });
  const where = lag === 0 ? say("sameStep") : say(lag > 0 ? "leads" : "follows", { steps: formatLag(Math.abs(lag)) });
  const largest = say("largest", { driver: title, where, r: formatNumber(r, 3), n: formatNumber(n) });
  return lead === null || lead === lag ? largest : `${largest} ${say("alsoLeads", { steps: formatLag(lead) })}`;
}

function showDriver() {
  if (!lags) return;
  const choice = document.querySelector("input[name=driver]:checked");
  const driver = lags.drivers.find(({ driver }) => driver === choice.value);
  const title = choice.nextElementSibling.textContent;
  for (const [kind, chart] of Object.entries(charts)) {
    const { r, band } = driver[kind];
    chart.show([lags.lags, r, lags.lags.map(() => band), lags.lags.map(() => -band)]);
    setText(byId(captions[kind]), describeLead(title, driver[kind], kind === "prewhitened" ? driver.leads_by : null));
  }
}

function showTable() {
  const zeroLag = (lags.lags.length - 1) / 2;
  for (const row of byId("drivers").tBodies[0].rows) {
    const driver = lags.drivers.find(({ driver }) => driver === row.dataset.driver);
    const cell = (name, text) => setText(row.querySelector(`[data-is="${name}"]`), text);
    const lead = driver.leads_by;
    cell("leads", lead === null ? say("noLead") : formatLag(lead));
    cell("white", lead === null ? "–" : formatNumber(driver.prewhitened.r[zeroLag + lead], 3));
    cell("lag", driver.raw.best_lag === null ? "–" : formatLag(driver.raw.best_lag));
    cell("raw", formatNumber(driver.raw.best_r, 3));
  }
}

async function fetchLags() {
  fetchedAt = Date.now();
  const response = await fetch(byId("content").dataset.lags);
  if (!response.ok) return endReading();
  lags = await response.json();
  showTable();
  showDriver();
  setText(byId("in-use"), lags.in_use ?? "–");
  setText(byId("chosen"), lags.chosen ?? "–");
}

byId("driver-choice").addEventListener("change", showDriver);
follow((message) => {
  const { model } = message;
  if (!model && isPolled(message, "redis")) endReading();
  if (model && model.version !== lags?.model_version && Date.now() - fetchedAt >= FETCH_EVERY_MS) fetchLags().catch(() => {});
});
