// The last week, the forecast from its end, and its error beside that of persistence.

import { Chart, getColour, makeLine } from "./charts.js";
import { follow, formatNumber, say, setText } from "./live.js";

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
  const hours = `${ahead[ahead.length - 1] - steps[steps.length - 1]} ${shown.step_unit || say("step")}`;
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

function showErrors() {
  const choice = Number(document.querySelector("input[name=horizon]:checked").value);
  const curve = message?.errors?.horizons.find(({ horizon }) => horizon === choice);
  if (!curve) return;
  errors.show([message.errors.x.map(toSeconds), curve.values, curve.persistence]);
  const last = (list) => formatValue(list[list.length - 1]);
  const span = `${message.errors.window} ${shown.step_unit || say("step")}`;
  setText(byId("errors-words"), say("curve", { value: last(curve.values), baseline: say("persistence"), baseline_value: last(curve.persistence), window: span }));
}

byId("horizon-choice").addEventListener("change", showErrors);
follow((newest) => {
  message = newest;
  if (newest.outlook) showOutlook(newest.outlook);
  showTable(newest);
  showErrors();
});
