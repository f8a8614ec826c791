// How one pipeline fares: figures, curves, versions, dead letters, restarts, and the health of the parts.

import { Chart, drawMarks, formatLocalMoment, formatMoment, makeLine } from "./charts.js";
import { endReading, fillBar, follow, formatAge, formatNumber, formatPercent, isPolled, isRead, say, setText, translate } from "./live.js";
import { followQuality, listMarks } from "./quality.js";
import { fillMatrix } from "./matrix.js";
import { timeline } from "./timeline.js";

const content = document.getElementById("content");
const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
const unit = shown.unit ? ` ${shown.unit}` : "";
let curve = null;
let figures = {};
let newest = null;
const along = byId("curve-x");

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

/** Name what a figure is of: how far ahead, where it is a forecast's. */
const nameHorizon = (horizon) => (horizon ? say("ahead", { steps: `${formatNumber(horizon)} ${shown.step_unit || say("step")}` }) : "");

function makeAxis(kind, horizon) {
  if (kind === "accuracy") return { share: true, label: say("accuracy") };
  const label = kind === "rmse" ? [say("rmse"), shown.unit, nameHorizon(horizon)] : [translate(kind)];
  return { ...(kind === "rmse" ? { least: 0 } : {}), label: label.filter(Boolean).join(", ") };
}

/** Begin a sentence about a figure with how far ahead it is. */
const beginWithHorizon = (horizon, sentence) => (horizon ? `${nameHorizon(horizon)}${say("colon")}${sentence}` : sentence);

function showTile(name, text) {
  setText(byId("tiles").querySelector(`[data-is="${name}"]`), text);
}

function showTiles(message) {
  showTile("rate", formatNumber(message.rate, 1));
  showTile("unanswered", formatNumber(message.unanswered));
  showTile("version", formatNumber(message.model?.version));
  showTile("age", message.model ? say("ago", { time: formatAge(message.model.written_s) }) : "–");
  const letters = formatNumber(message.dead_letter_count) + (message.more_dead_letters ? "+" : "");
  showTile("dead_letters", message.dead_letter_count || isRead(message) ? letters : "–");
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

const isAlongTime = () => Boolean(curve.times) && along.value === "time";
const makeCurveX = () => {
  if (isAlongTime()) return { time: true, local: true };
  return shown.step_s ? { time: true } : { label: say(shown.value ? "step" : "offset") };
};

const recent = new Chart(byId("curve"), () => ({
  x: makeCurveX(), y: makeAxis(curve.figure, curve.horizon),
  hooks: { draw: [showWorst], drawClear: [drawMarks(() => (isAlongTime() ? listMarks("time_s") : shown.value ? [] : listMarks("offset")))] },
  series: [{}, makeLine(say("model")), makeLine(translate(curve.baseline), { baseline: true })],
}), timeline);

const history = new Chart(byId("history"), () => ({
  x: { label: say("version") }, y: makeAxis(figures.kind, figures.horizon), hooks: { drawClear: [drawMarks(() => listMarks("offset"))] },
  series: [
    {}, makeLine(say("model"), { points: { show: true, size: 6 } }),
    ...(figures.baseline ? [makeLine(translate(figures.baselineTitle), { baseline: true })] : []),
  ],
}), timeline);

const pace = new Chart(byId("pace"), () => ({
  x: { time: true, local: true }, y: { least: 0, label: say("perSecond") }, hooks: { drawClear: [drawMarks(() => listMarks("time_s"))] },
  series: [{}, makeLine(say("perSecond"))],
}), timeline);

function showPace() {
  if (!newest?.pace) return;
  const { times, rates } = newest.pace;
  pace.show([times, rates], times);
  setText(byId("pace-words"), say("pace", { rate: formatNumber(newest.rate, 1), most: formatNumber(Math.max(...rates), 1) }));
}

function showConfusion(confusion) {
  byId("confusion-card").hidden = !confusion;
  if (!confusion) return;
  const { classes, counts } = confusion;
  const worst = fillMatrix(byId("confusion"), classes, counts);
  const all = counts.flat().reduce((sum, count) => sum + count, 0);
  const right = counts.reduce((sum, row, i) => sum + row[i], 0);
  setText(byId("confusion-words"), say(worst.count ? "confused" : "notConfused", {
    n: formatNumber(all), right: formatPercent(right / all), truth: worst.truth, prediction: worst.prediction,
    count: formatNumber(worst.count), of: formatNumber(worst.of),
  }));
}

/** Show the verdict as the server words it, in this page's language. */
async function showVerdict() {
  const place = byId("verdict");
  try {
    const response = await fetch(place.dataset.url);
    const html = response.ok ? (await response.text()).trim() : "";
    if (html && place.innerHTML.trim() !== html) place.innerHTML = html;
  } catch {
    // The stream of messages tells that the server does not answer.
  }
}

function showCurve(latest) {
  if (!latest) return;
  curve = latest;
  const steps = shown.step_s ? curve.x.map((step) => step * shown.step_s) : curve.x;
  const x = isAlongTime() ? curve.times : steps;
  recent.show([x, curve.values, curve.baseline_values], curve.times);
  const last = (list) => formatFigure(curve.figure, list[list.length - 1]);
  const stepsText = shown.step_unit ? `${formatNumber(curve.window)} ${shown.step_unit}` : say("steps", { n: formatNumber(curve.window) });
  setText(byId("curve-words"), beginWithHorizon(curve.horizon, say("curve", {
    value: last(curve.values), baseline: translate(curve.baseline), baseline_value: last(curve.baseline_values),
    window: curve.horizon ? stepsText : say("records", { n: formatNumber(curve.window) }),
  })));
}

/** Say when the figure was worst, within the stretch that is shown. */
function showWorst() {
  if (!curve || !recent.plot) return;
  const { min, max } = recent.plot.scales.x;
  const [xs, values] = recent.data;
  const sign = curve.figure === "accuracy" ? -1 : 1;
  const shownAt = [...xs.keys()].filter((i) => xs[i] >= min && xs[i] <= max && values[i] !== null);
  const worst = shownAt.reduce((best, i) => (best === null || sign * values[i] > sign * values[best] ? i : best), null);
  if (worst === null) return setText(byId("curve-worst"), "");
  const { time, local, label } = makeCurveX();
  const format = time ? (local ? formatLocalMoment : formatMoment) : formatNumber;
  const sentence = say(time ? "worst" : "worstAt", { value: formatFigure(curve.figure, values[worst]), label, place: format(xs[worst]) });
  const fall = findFall(shownAt, values, worst, sign);
  if (!fall) return setText(byId("curve-worst"), sentence);
  const [from, until] = [fall.first, fall.last].map((i) => (i === null ? "" : format(xs[i])));
  const halfway = formatFigure(curve.figure, fall.halfway);
  setText(byId("curve-worst"), `${sentence} ${say(until ? "fell" : "fellSince", { halfway, from, until, label: time ? "" : `${label} ` })}`);
}

/** Return where a figure was on the worse side of half-way between its median and its worst, if that is far off. */
function findFall(shownAt, values, worst, sign) {
  const sorted = shownAt.map((i) => values[i]).sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  if (Math.abs(values[worst] - median) < (curve.figure === "accuracy" ? 0.1 : Math.abs(median))) return null;
  const halfway = (median + values[worst]) / 2;
  const isWell = (i) => sign * values[i] <= sign * halfway;
  const before = shownAt.findLast((i) => i < worst && isWell(i)) ?? -1;
  return { halfway, first: shownAt.find((i) => i > before), last: shownAt.find((i) => i > worst && isWell(i)) ?? null };
}

/** Choose a score's main figure and its baseline: the shortest horizon's, where there are several. */
function chooseFigures(score) {
  const names = Object.keys(score);
  const main = names.find((name) => name.endsWith("accuracy")) ?? names.find((name) => name.endsWith("rmse")) ?? names[0];
  const kind = ["accuracy", "rmse"].find((suffix) => main?.endsWith(suffix)) ?? main;
  const baseline = names.find((name) => name !== main && name.endsWith("_rmse") && /persistence|baseline/.test(name));
  const horizon = Number(main?.match(/^h(\d+)_/)?.[1] ?? 0);
  return { main, kind, horizon, baseline, baselineTitle: baseline?.includes("persistence") ? "persistence" : "the last value" };
}

function showHistory(message) {
  const scored = message.versions.filter(({ samples }) => samples > 0);
  if (scored.length < 2 || !figures.main) return;
  const { main, kind, baseline, baselineTitle } = figures;
  const data = [scored.map(({ version }) => version), scored.map(({ score }) => score[main])];
  if (baseline) data.push(scored.map(({ score }) => score[baseline]));
  history.show(data, scored.map(({ written_s: written }) => written));
  const { score, samples } = scored[scored.length - 1];
  setText(byId("history-words"), beginWithHorizon(figures.horizon, say(baseline ? "wholeWithBaseline" : "whole", {
    value: formatFigure(kind, score[main]), baseline: translate(baselineTitle),
    baseline_value: formatFigure(kind, score[baseline]), window: say("records", { n: formatNumber(samples) }),
  })));
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
  const kind = figures.kind ? makeAxis(figures.kind, figures.horizon).label : say("score");
  setText(byId("versions").tHead.rows[0].cells[3], kind);
  const newestFirst = message.versions.slice().reverse();
  const isServed = ({ version }) => version === message.model?.version;
  const sparse = newestFirst.filter((kept, i) => i < 3 || Number.isInteger(Math.log2(i)) || isServed(kept));
  showRows("versions", sparse.map((kept, i) => [
    isServed(kept) ? say("isServed", { version: formatNumber(kept.version) }) : formatNumber(kept.version), say("ago", { time: formatAge(kept.written_s) }), formatNumber(kept.samples),
    formatFigure(figures.kind, kept.score[figures.main]),
    i + 1 < sparse.length ? formatFigure(figures.kind, scoreBetween(sparse[i + 1], kept)) : "–",
  ]));
}

/** Offer the versions that are kept; what is chosen, and what has the focus, stays. */
function showPins({ model, versions }) {
  // The list is of one partition's versions; one that is made of several partitions' has a name of its own.
  byId("pin").hidden = !model || typeof model.version === "string" || !versions.length;
  byId("unpin").hidden = !model?.pinned;
  const numbers = versions.map(({ version }) => String(version)).reverse();
  const select = byId("pin-version");
  if ([...select.options].map(({ value }) => value).join() === numbers.join()) return;
  const chosen = select.value;
  select.replaceChildren(...numbers.map((number) => new Option(formatNumber(Number(number)), number)));
  if (numbers.includes(chosen)) select.value = chosen;
}

async function changePin(path, method, describe) {
  const token = sessionStorage.getItem("token");
  try {
    const response = await fetch(`/v2/models/${encodeURIComponent(content.dataset.pipeline)}${path}`, { method, headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const answer = await response.json();
    if (response.status === 401) {
      byId("token").hidden = false;
      byId("token-field").focus();
    }
    setText(byId("pin-words"), response.ok ? describe(answer) : answer.error);
  } catch {
    setText(byId("pin-words"), say("lost"));
  }
}

byId("pin").addEventListener("submit", (event) => {
  event.preventDefault();
  changePin(`/versions/${byId("pin-version").value}/pin`, "POST", ({ version }) => say("pinnedNow", { version: formatNumber(version) }));
});
byId("unpin").addEventListener("click", () => changePin("/pin", "DELETE", () => say("unpinnedNow")));
byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token-field").value);
  byId("token-field").value = "";
  byId("token").hidden = true;
  setText(byId("pin-words"), say("tokenKept"));
});

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

function showDeadLetters(message) {
  const letters = message.dead_letters;
  byId("no-letters").hidden = letters.length > 0;
  setText(byId("no-letters"), say(isRead(message) ? "noLetters" : "reading"));
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

along.addEventListener("change", () => showCurve(curve));

followQuality(shown, () => [recent, history, pace].forEach((chart) => chart.plot?.redraw()));
follow((message) => {
  newest = message;
  showVerdict();
  showPace();
  showConfusion(message.confusion);
  if (message.model) figures = chooseFigures(message.model.score);
  showTiles(message);
  showParts(message);
  showCurve(message.curve);
  showHistory(message);
  showVersions(message);
  showPins(message);
  showLabels(message.model);
  showDeadLetters(message);
  showRestores(message.restores);
  if (isRead(message)) endReading();
});
