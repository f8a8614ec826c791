// Which drivers lead the value, by how many steps: asked again whenever another version is served.

import { Chart, colour, line } from "./charts.js";
import { follow, number, put, say } from "./live.js";

const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
const unit = shown.step_unit || say("step");
const steps = (lag) => `${number(lag)} ${unit}`;
const LEAST_MS = 2000;
let found = null;
let asked = 0;

function bars(id) {
  return new Chart(byId(id), () => ({
    x: { label: say("lag", { unit }) }, y: { label: "r", digits: 3 },
    series: [
      {}, { label: "r", stroke: colour("accent"), fill: colour("accent"), paths: window.uPlot.paths.bars({ size: [0.7, 12] }), points: { show: false } },
      line(say("band"), { baseline: true, width: 1 }), line(say("band"), { baseline: true, width: 1 }),
    ],
    bands: [{ series: [2, 3], fill: colour("area") }],
  }));
}

const charts = { prewhitened: bars("white"), raw: bars("raw") };
const places = { prewhitened: "white-words", raw: "raw-words" };

function words(title, { best_lag: lag, best_r: r, n }) {
  if (lag === null) return say("nothingYet", { driver: title });
  const where = lag === 0 ? say("sameStep") : say(lag > 0 ? "leads" : "follows", { steps: steps(Math.abs(lag)) });
  return say("largest", { driver: title, where, r: number(r, 3), n: number(n) });
}

function showDriver() {
  if (!found) return;
  const choice = document.querySelector("input[name=driver]:checked");
  const driver = found.drivers.find((one) => one.driver === choice.value);
  const title = choice.nextElementSibling.textContent;
  for (const [kind, chart] of Object.entries(charts)) {
    const { r, band } = driver[kind];
    chart.show([found.lags, r, found.lags.map(() => band), found.lags.map(() => -band)]);
    put(byId(places[kind]), words(title, driver[kind]));
  }
}

function showTable() {
  const middle = (found.lags.length - 1) / 2;
  for (const row of byId("drivers").tBodies[0].rows) {
    const driver = found.drivers.find((one) => one.driver === row.dataset.driver);
    const cell = (name, text) => put(row.querySelector(`[data-is="${name}"]`), text);
    const lead = driver.leads_by;
    cell("leads", lead === null ? say("noLead") : steps(lead));
    cell("white", lead === null ? "–" : number(driver.prewhitened.r[middle + lead], 3));
    cell("lag", driver.raw.best_lag === null ? "–" : steps(driver.raw.best_lag));
    cell("raw", number(driver.raw.best_r, 3));
  }
}

async function ask() {
  asked = Date.now();
  const answer = await fetch(byId("content").dataset.lags);
  if (!answer.ok) return;
  found = await answer.json();
  showTable();
  showDriver();
  put(byId("in-use"), found.in_use ?? "–");
  put(byId("chosen"), found.chosen ?? "–");
}

byId("driver-choice").addEventListener("change", showDriver);
follow(({ model }) => {
  if (model && model.version !== found?.model_version && Date.now() - asked >= LEAST_MS) ask().catch(() => {});
});
