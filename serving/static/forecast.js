// The last week, the forecast from its end, past forecasts over what came, and their error beside persistence's.

import { Chart, formatMoment, getColour, makeLine } from "./charts.js";
import { endReading, follow, formatNumber, isRead, say, setText } from "./live.js";

const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
const toSeconds = (step) => (shown.step_s ? step * shown.step_s : step);
const x = { time: Boolean(shown.step_s), label: say("step") };
const formatValue = (value) => `${formatNumber(value, 1)}${shown.unit ? ` ${shown.unit}` : ""}`;
let message = null;

/** Paint the bands behind the lines. */
function paintBands(plot) {
  const { ctx, bbox } = plot;
  ctx.save();
  shown.bands.forEach((band, i) => {
    const low = Math.max(band.above, plot.scales.y.min);
    const high = Math.min(shown.bands[i + 1]?.above ?? Infinity, plot.scales.y.max);
    if (high <= low) return;
    const top = plot.valToPos(high, "y", true);
    ctx.globalAlpha = 0.13;
    ctx.fillStyle = band.colour;
    ctx.fillRect(bbox.left, top, bbox.width, plot.valToPos(low, "y", true) - top);
    ctx.globalAlpha = 1;
    ctx.fillRect(bbox.left, top, 4, plot.valToPos(low, "y", true) - top);
  });
  ctx.restore();
}

const outlook = new Chart(byId("outlook"), () => ({
  x, y: { label: shown.unit, least: 0 },
  series: [
    {}, makeLine(say("measured"), { stroke: getColour("ink"), width: 1.5 }), makeLine(say("forecast"), { width: 2.5, points: { show: true, size: 7 }, spanGaps: true }),
    makeLine(say("high"), { width: 0.5, spanGaps: true }), makeLine(say("low"), { width: 0.5, spanGaps: true }),
  ],
  bands: [{ series: [3, 4], fill: getColour("area") }],
  hooks: { drawClear: [paintBands] },
}));

const past = new Chart(byId("past"), () => ({
  x, y: { label: shown.unit, least: 0 },
  series: [{}, makeLine(say("measured"), { stroke: getColour("ink"), width: 1.5 }), makeLine(say("forecast"))],
  hooks: { drawClear: [paintBands] },
}));

const errors = new Chart(byId("errors"), () => ({
  x, y: { label: shown.unit, least: 0 },
  series: [{}, makeLine(say("model")), makeLine(say("persistence"), { baseline: true })],
}));

function showOutlook({ ts, steps, values, ahead, forecast, low, high, scored }) {
  const makeBlanks = (list) => list.map(() => null);
  const last = values[values.length - 1];
  outlook.show([
    [...steps, ...ahead].map(toSeconds),
    [...values, ...makeBlanks(ahead)],
    ...[forecast, high, low].map((list) => [...makeBlanks(steps).slice(1), last, ...list]),
  ]);
  const hours = formatSteps(ahead[ahead.length - 1] - steps[steps.length - 1]);
  setText(byId("outlook-words"), say("outlook", { ts, value: last === null ? "–" : formatValue(last), ahead: hours, forecast: formatValue(forecast[forecast.length - 1]) }));
  setText(byId("range-words"), scored ? say("range") : "");
}

function showTable({ outlook, model }) {
  for (const [i, row] of [...byId("horizons").tBodies[0].rows].entries()) {
    const h = row.dataset.horizon;
    const cell = (name, text) => setText(row.querySelector(`[data-is="${name}"]`), text);
    cell("forecast", formatNumber(outlook?.forecast[i], 1));
    cell("range", outlook && outlook.low[i] !== null ? `${formatNumber(outlook.low[i])} – ${formatNumber(outlook.high[i])}` : "–");
    cell("rmse", formatNumber(model?.score[`h${h}_rmse`], 1));
    cell("persistence", formatNumber(model?.score[`h${h}_persistence_rmse`], 1));
  }
}

const readHorizon = () => Number(document.querySelector("input[name=horizon]:checked").value);
const formatSteps = (steps) => `${formatNumber(steps)} ${shown.step_unit || say("step")}`;
const formatStep = (step) => (shown.step_s ? formatMoment(toSeconds(step)) : formatNumber(step));

/** Show what was forecast for each step of the last week over what came, and how far it was off. */
function showPast() {
  if (!message?.outlook) return;
  const { steps, values, ahead, earlier } = message.outlook;
  const horizon = readHorizon();
  const forecasts = earlier[ahead.findIndex((step) => step - steps[steps.length - 1] === horizon)];
  past.show([steps.map(toSeconds), values, forecasts]);
  const misses = values.flatMap((value, i) => (
    value === null || forecasts[i] === null ? [] : [{ step: steps[i], by: forecasts[i] - value }]
  )).sort((one, other) => Math.abs(one.by) - Math.abs(other.by));
  if (!misses.length) return setText(byId("past-words"), say("noPast", { ahead: formatSteps(horizon) }));
  const worst = misses[misses.length - 1];
  setText(byId("past-words"), say(worst.by > 0 ? "pastHigh" : "pastLow", {
    ahead: formatSteps(horizon), n: formatNumber(misses.length), half: formatValue(Math.abs(misses[Math.floor((misses.length - 1) / 2)].by)),
    most: formatValue(Math.abs(worst.by)), time: formatStep(worst.step),
  }));
}

function showErrors() {
  const choice = readHorizon();
  const curve = message?.errors?.horizons.find(({ horizon }) => horizon === choice);
  if (!curve) return;
  errors.show([message.errors.x.map(toSeconds), curve.values, curve.persistence]);
  const last = (list) => formatValue(list[list.length - 1]);
  setText(byId("errors-words"), say("curve", { value: last(curve.values), baseline: say("persistence"), baseline_value: last(curve.persistence), window: formatSteps(message.errors.window) }));
}

byId("horizon-choice").addEventListener("change", () => {
  showPast();
  showErrors();
});
follow((newest) => {
  message = newest;
  if (newest.outlook) showOutlook(newest.outlook);
  showTable(newest);
  showPast();
  showErrors();
  if (isRead(newest)) endReading();
});
