// How one pipeline fares: figures, curves, versions, dead letters, restarts, and the health of the parts.

import { Chart, makeLine } from "./charts.js";
import { fillBar, follow, formatAge, formatNumber, formatPercent, isPolled, say, setText, translate } from "./live.js";

const content = document.getElementById("content");
const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
const unit = shown.unit ? ` ${shown.unit}` : "";
let curve = null;
let figures = {};

function showRows(table, rows) {
  const body = byId(table).tBodies[0];
  body.replaceChildren(...rows.map((values) => {
    const row = document.createElement("tr");
    row.append(...values.map((value) => {
      const cell = document.createElement("td");
      cell.append(value);
      return cell;
    }));
    return row;
  }));
}

function formatFigure(kind, value) {
  if (value === null || value === undefined) return "–";
  if (kind === "accuracy") return formatPercent(value);
  return formatNumber(value, 2) + (kind === "rmse" ? unit : "");
}

function makeAxis(kind) {
  if (kind === "accuracy") return { share: true, label: say("accuracy") };
  return kind === "rmse" ? { least: 0, label: `${say("rmse")}${shown.unit ? `, ${shown.unit}` : ""}` } : { label: kind };
}

function showTile(name, text) {
  setText(byId("tiles").querySelector(`[data-is="${name}"]`), text);
}

function showTiles(message) {
  showTile("rate", formatNumber(message.rate, 1));
  showTile("unanswered", formatNumber(message.unanswered));
  showTile("version", formatNumber(message.model?.version));
  showTile("age", message.model ? say("ago", { time: formatAge(message.model.written_s) }) : "–");
  showTile("dead_letters", formatNumber(message.dead_letter_count) + (message.more_dead_letters ? "+" : ""));
  showTile("restarts", formatNumber(message.restarts));
  showTile("rolled_back", formatNumber(message.rolled_back));
}

function showLamp(part, state, text) {
  const item = byId("parts").querySelector(`[data-part="${part}"]`);
  item.dataset.state = state;
  setText(item.querySelector(".state"), text);
}

function showParts(message) {
  for (const { name, polled, trouble } of message.parts) {
    if (polled) showLamp(name, trouble ? "down" : "up", say(trouble ? "down" : "up"));
  }
  const job = message.job ?? "–";
  if (job === "running") showLamp("job", message.trouble ? "wait" : "up", say("running"));
  else if (isPolled(message, "flink")) showLamp("job", "down", job);
  byId("job").href = content.dataset.flink + (message.job_id ? `/#/job/running/${message.job_id}/overview` : "");
}

const recent = new Chart(byId("curve"), () => ({
  x: shown.step_s ? { time: true } : { label: say(shown.value ? "step" : "offset") }, y: makeAxis(curve.figure),
  series: [{}, makeLine(say("model")), makeLine(translate(curve.baseline), { baseline: true })],
}));

const history = new Chart(byId("history"), () => ({
  x: { label: say("version") }, y: makeAxis(figures.kind),
  series: [
    {}, makeLine(say("model"), { points: { show: true, size: 6 } }),
    ...(figures.baseline ? [makeLine(translate(figures.baselineTitle), { baseline: true })] : []),
  ],
}));

function showCurve(newest) {
  if (!newest) return;
  curve = newest;
  const x = shown.step_s ? curve.x.map((step) => step * shown.step_s) : curve.x;
  recent.show([x, curve.values, curve.baseline_values]);
  const last = (list) => formatFigure(curve.figure, list[list.length - 1]);
  setText(byId("curve-words"), say("curve", {
    value: last(curve.values), baseline: translate(curve.baseline), baseline_value: last(curve.baseline_values),
    window: say(shown.step_s ? "steps" : "records", { n: formatNumber(curve.window) }),
  }));
}

/** Choose a score's main figure and its baseline: the shortest horizon's, where there are several. */
function chooseFigures(score) {
  const names = Object.keys(score);
  const main = names.find((name) => name.endsWith("accuracy")) ?? names.find((name) => name.endsWith("rmse")) ?? names[0];
  const kind = ["accuracy", "rmse"].find((suffix) => main?.endsWith(suffix)) ?? main;
  const baseline = names.find((name) => name !== main && name.endsWith("_rmse") && /persistence|baseline/.test(name));
  return { main, kind, baseline, baselineTitle: baseline?.includes("persistence") ? "persistence" : "the last value" };
}

function showHistory(message) {
  const scored = message.versions.filter(({ samples }) => samples > 0);
  if (scored.length < 2 || !figures.main) return;
  const { main, kind, baseline, baselineTitle } = figures;
  const data = [scored.map(({ version }) => version), scored.map(({ score }) => score[main])];
  if (baseline) data.push(scored.map(({ score }) => score[baseline]));
  history.show(data);
  const { score, samples } = scored[scored.length - 1];
  setText(byId("history-words"), say(baseline ? "wholeWithBaseline" : "whole", {
    value: formatFigure(kind, score[main]), baseline: translate(baselineTitle),
    baseline_value: formatFigure(kind, score[baseline]), window: say("records", { n: formatNumber(samples) }),
  }));
}

/** Return the figure over the records between two versions; both scores are over all records until then. */
function scoreBetween(older, newer) {
  const count = newer.samples - older.samples;
  const [before, after] = [older, newer].map(({ score }) => score[figures.main] ?? null);
  if (count <= 0 || before === null || after === null) return null;
  const power = figures.kind === "rmse" ? 2 : 1;
  const mean = (after ** power * newer.samples - before ** power * older.samples) / count;
  return Math.max(0, mean) ** (1 / power);
}

function showVersions(message) {
  const newestFirst = message.versions.slice().reverse();
  const sparse = newestFirst.filter((_, i) => i < 3 || Number.isInteger(Math.log2(i)));
  showRows("versions", sparse.map((kept, i) => [
    formatNumber(kept.version), say("ago", { time: formatAge(kept.written_s) }), formatNumber(kept.samples),
    formatFigure(figures.kind, kept.score[figures.main]),
    i + 1 < sparse.length ? formatFigure(figures.kind, scoreBetween(sparse[i + 1], kept)) : "–",
  ]));
}

function showLabels(model) {
  const counts = Object.entries(model?.counts ?? {}).filter(([name]) => name.startsWith("label_"));
  byId("labels-card").hidden = !counts.length;
  const most = Math.max(1, ...counts.map(([, count]) => count));
  byId("labels").replaceChildren(...counts.map(([name, count]) => {
    const row = document.createElement("div");
    const title = document.createElement("dt");
    title.textContent = name.replace(/^label_/, "").replace(/_count$/, "");
    const cell = document.createElement("dd");
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(document.createElement("i"));
    bar.setAttribute("role", "meter");
    bar.setAttribute("aria-label", title.textContent);
    bar.setAttribute("aria-valuemin", 0);
    fillBar(bar, count, most);
    const text = document.createElement("span");
    text.textContent = formatNumber(count);
    cell.append(bar, text);
    row.append(title, cell);
    return row;
  }));
}

function linkRecord(offset, partition) {
  const link = document.createElement("a");
  link.href = `${content.dataset.records}?${new URLSearchParams({ offset, partition })}`;
  link.textContent = formatNumber(offset);
  return link;
}

function showDeadLetters(letters) {
  byId("no-letters").hidden = letters.length > 0;
  byId("letters-scroll").hidden = !letters.length;
  showRows("letters", letters.map(([offset, reason, partition]) => [linkRecord(offset, partition), reason]));
}

function showRestores(restores) {
  showRows("restores", restores.map((restore) => [
    say("ago", { time: formatAge(restore.time_s) }), formatNumber(restore.offset),
    restore.snapshot === null ? say("fromStart") : formatNumber(restore.snapshot),
    formatNumber(restore.relearned), formatNumber(restore.dropped), formatNumber(Object.keys(restore.refused).length),
  ]));
}

follow((message) => {
  if (message.model) figures = chooseFigures(message.model.score);
  showTiles(message);
  showParts(message);
  showCurve(message.curve);
  showHistory(message);
  showVersions(message);
  showLabels(message.model);
  showDeadLetters(message.dead_letters);
  showRestores(message.restores);
});
