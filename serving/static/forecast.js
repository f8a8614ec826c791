// The last week, the forecast from its end, and how its error fares beside persistence.

import { Chart, colour, line } from "./charts.js";
import { follow, number, put, say } from "./live.js";

const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
const at = (step) => (shown.step_s ? step * shown.step_s : step);
const x = { time: Boolean(shown.step_s), label: say("step") };
const value = (number_) => `${number(number_, 1)}${shown.unit ? ` ${shown.unit}` : ""}`;
let message = null;

/** Paint the ranges that people have names for behind the lines. */
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
    {}, line(say("measured"), { stroke: colour("ink"), width: 1.5 }), line(say("forecast"), { width: 2.5, points: { show: true, size: 7 }, spanGaps: true }),
    line(say("high"), { width: 0.5, spanGaps: true }), line(say("low"), { width: 0.5, spanGaps: true }),
  ],
  bands: [{ series: [3, 4], fill: colour("area") }],
  hooks: { drawClear: [paintBands] },
}));

const errors = new Chart(byId("errors"), () => ({
  x, y: { label: shown.unit, least: 0 },
  series: [{}, line(say("ours")), line(say("persistence"), { baseline: true })],
}));

function showOutlook({ ts, steps, values, ahead, forecast, low, high, judged }) {
  const none = (list) => list.map(() => null);
  const last = values[values.length - 1];
  outlook.show([
    [...steps, ...ahead].map(at),
    [...values, ...none(ahead)],
    ...[forecast, high, low].map((list) => [...none(steps).slice(1), last, ...list]),
  ]);
  const hours = `${ahead[ahead.length - 1] - steps[steps.length - 1]} ${shown.step_unit || say("step")}`;
  put(byId("outlook-words"), say("outlook", { ts, value: last === null ? "–" : value(last), ahead: hours, forecast: value(forecast[forecast.length - 1]) }));
  put(byId("judged"), judged ? say("judged", { count: number(judged) }) : "");
}

function showTable({ outlook: found, model }) {
  for (const [i, row] of [...byId("horizons").tBodies[0].rows].entries()) {
    const h = row.dataset.horizon;
    const cell = (name, text) => put(row.querySelector(`[data-is="${name}"]`), text);
    cell("forecast", number(found?.forecast[i], 1));
    cell("range", found && found.low[i] !== null ? `${number(found.low[i])} – ${number(found.high[i])}` : "–");
    cell("rmse", number(model?.score[`h${h}_rmse`], 1));
    cell("persistence", number(model?.score[`h${h}_persistence_rmse`], 1));
  }
}

function showErrors() {
  const horizon = Number(document.querySelector("input[name=horizon]:checked").value);
  const found = message?.errors?.horizons.find((one) => one.horizon === horizon);
  if (!found) return;
  errors.show([message.errors.x.map(at), found.ours, found.persistence]);
  const last = (list) => value(list[list.length - 1]);
  const window_ = `${message.errors.window} ${shown.step_unit || say("step")}`;
  put(byId("errors-words"), say("curve", { ours: last(found.ours), baseline: say("persistence"), theirs: last(found.persistence), window: window_ }));
}

byId("horizon-choice").addEventListener("change", showErrors);
follow((newest) => {
  message = newest;
  if (newest.outlook) showOutlook(newest.outlook);
  showTable(newest);
  showErrors();
});
