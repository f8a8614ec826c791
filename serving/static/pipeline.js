// How one pipeline fares: figures, curves, versions, dead letters, restarts, and the health of the parts.

import { Chart, line } from "./charts.js";
import { fill, follow, looked, number, percent, put, say, since, word } from "./live.js";

const content = document.getElementById("content");
const shown = JSON.parse(document.getElementById("shown").textContent);
const byId = (id) => document.getElementById(id);
let curve = null;
let learned = null;

function rows(table, found) {
  const body = byId(table).tBodies[0];
  body.replaceChildren(...found.map((values) => {
    const row = document.createElement("tr");
    row.append(...values.map((value) => {
      const cell = document.createElement("td");
      cell.textContent = value;
      return cell;
    }));
    return row;
  }));
}

function figure(kind, value) {
  if (value === null || value === undefined) return "–";
  return kind === "accuracy" ? percent(value) : `${number(value, 2)}${shown.unit ? ` ${shown.unit}` : ""}`;
}

function tile(name, text) {
  put(byId("tiles").querySelector(`[data-is="${name}"]`), text);
}

function showTiles(message) {
  tile("rate", number(message.rate, 1));
  tile("lag", number(message.lag));
  tile("version", number(message.model?.version));
  tile("age", message.model ? since(message.model.written_s) : "–");
  tile("dead", number(message.dead) + (message.dead_more ? "+" : ""));
  tile("restarts", number(message.restarts));
  tile("rolled_back", number(message.rolled_back));
}

function lamp(part, state, text) {
  const item = byId("parts").querySelector(`[data-part="${part}"]`);
  item.dataset.state = state;
  put(item.querySelector(".state"), text);
}

function showParts(message) {
  for (const { name, looked, trouble } of message.parts) {
    if (looked) lamp(name, trouble ? "down" : "up", say(trouble ? "down" : "up"));
  }
  const job = message.job ?? "–";
  if (job === "running") lamp("job", message.trouble ? "wait" : "up", say("running"));
  else if (looked(message, "flink")) lamp("job", "down", job);
  byId("job").href = content.dataset.flink + (message.job_id ? `/#/job/running/${message.job_id}/overview` : "");
}

const kind = () => curve?.figure ?? "rmse";
const y = () => (kind() === "accuracy" ? { share: true, label: say("accuracy") } : { least: 0, label: `${say("rmse")}${shown.unit ? `, ${shown.unit}` : ""}` });

const lately = new Chart(byId("curve"), () => ({
  x: shown.step_s ? { time: true } : { label: say(shown.value ? "step" : "offset") }, y: y(),
  series: [{}, line(say("ours")), line(word(curve.baseline), { baseline: true })],
}));

const history = new Chart(byId("learned"), () => ({
  x: { label: say("version") }, y: y(),
  series: [{}, line(say("ours"), { points: { show: true, size: 6 } }), ...(learned.baseline ? [line(word(learned.baseline), { baseline: true })] : [])],
}));

function showCurve(found) {
  if (!found) return;
  curve = found;
  const x = shown.step_s ? found.x.map((step) => step * shown.step_s) : found.x;
  lately.show([x, found.ours, found.theirs]);
  const last = (list) => figure(found.figure, list[list.length - 1]);
  const unit = shown.step_s ? "steps" : "records";
  put(byId("curve-words"), say("curve", {
    ours: last(found.ours), baseline: word(found.baseline), theirs: last(found.theirs), window: say(unit, { n: number(found.window) }),
  }));
}

/** The names of the score's figure and its baseline: the shortest horizon's, where there are several. */
function figures(score) {
  const names = Object.keys(score);
  const ours = names.find((name) => name.endsWith("accuracy")) ?? names.find((name) => name.endsWith("rmse"));
  const baseline = names.find((name) => name !== ours && name.endsWith("_rmse") && /persistence|baseline/.test(name));
  return [ours, baseline];
}

function showLearned(message) {
  const found = message.learned.filter(({ samples }) => samples > 0);
  if (found.length < 2 || !message.model) return;
  const [ours, baseline] = figures(message.model.score);
  learned = { baseline: baseline && (baseline.includes("persistence") ? "persistence" : "the last value") };
  const data = [found.map(({ version }) => version), found.map(({ score }) => score[ours])];
  if (baseline) data.push(found.map(({ score }) => score[baseline]));
  history.show(data);
  const { score, samples } = found[found.length - 1];
  put(byId("learned-words"), say(baseline ? "wholeBeside" : "whole", {
    ours: figure(kind(), score[ours]), baseline: word(learned.baseline), theirs: figure(kind(), score[baseline]),
    window: say("records", { n: number(samples) }),
  }));
}

function showVersions(message) {
  const [ours] = message.model ? figures(message.model.score) : [];
  const all = message.learned.slice().reverse();
  const far = all.filter((_, i) => i < 3 || Number.isInteger(Math.log2(i)));
  rows("versions", far.map(({ version, written_s, samples, score }) => [
    number(version), since(written_s), number(samples), figure(kind(), score[ours]),
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
    fill(bar, count, most);
    const text = document.createElement("span");
    text.textContent = number(count);
    cell.append(bar, text);
    row.append(title, cell);
    return row;
  }));
}

function showLetters(letters) {
  byId("no-letters").hidden = letters.length > 0;
  byId("letters-scroll").hidden = !letters.length;
  rows("letters", letters.map(([offset, reason]) => [number(offset), reason]));
}

function showRestores(restores) {
  rows("restores", restores.map((one) => [
    since(one.time_s), number(one.offset), one.snapshot === null ? say("fromStart") : number(one.snapshot),
    number(one.relearned), number(one.dropped), number(Object.keys(one.refused).length),
  ]));
}

follow((message) => {
  showTiles(message);
  showParts(message);
  showCurve(message.curve);
  showLearned(message);
  showVersions(message);
  showLabels(message.model);
  showLetters(message.letters);
  showRestores(message.restores);
});
