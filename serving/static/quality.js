// How good stream and answers are lately, and what happened: asked of the server every few seconds.

import { Chart, drawMarks, makeLine } from "./charts.js";
import { endReading, fillBar, formatAge, formatNumber, formatPercent, language, say, setText } from "./live.js";
import { timeline } from "./timeline.js";

const EVERY_MS = 5000;
const EVENTS = 20;
/** What each kind of event is drawn with: a letter, so that colours need not be told apart. */
const MARKS = {
  restart: { letter: "R", colour: "bad" }, rollback: { letter: "B", colour: "bad" }, setting: { letter: "S", colour: "second" },
  pin: { letter: "P", colour: "wait" }, unpin: { letter: "U", colour: "wait" }, feedback: { letter: "F", colour: "good" },
};

const LEVELS = { little: "moved_little", some: "moved_some", much: "moved_much" };
const KINDS = { new: "kindNew", repeated: "kindRepeated", feedback: "kindFeedback" };

const content = document.getElementById("content");
const byId = (id) => document.getElementById(id);
let quality = null;
let shown = {};

/** Return the marks of what happened, by `time_s` or by `offset`. */
export function listMarks(axis) {
  return (quality?.events ?? []).filter((event) => event[axis] !== null).map((event) => ({ at: event[axis], ...MARKS[event.kind] }));
}

const formatSeconds = (value) => (value === null || value === undefined ? "–" : say("seconds", { n: formatNumber(value, value < 10 ? 2 : 0) }));
const formatValue = (value) => new Intl.NumberFormat(language, { maximumSignificantDigits: 3 }).format(value);
const formatWholePercent = (share) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: share > 0 && share < 0.01 ? 1 : 0 }).format(share);

const markTimes = { drawClear: [drawMarks(() => listMarks("time_s"))] };
const delays = new Chart(byId("delays"), () => ({
  x: { time: true, local: true }, y: { least: 0, label: say("secondsAxis"), digits: 2 }, hooks: markTimes,
  series: [{}, makeLine(say("median")), makeLine(say("slow"), { baseline: true })],
}), timeline);
const waiting = new Chart(byId("waiting"), () => ({
  x: { time: true, local: true }, y: { least: 0, label: say("waitingAxis"), digits: 0 }, hooks: markTimes,
  series: [{}, makeLine(say("waitingAxis"))],
}), timeline);

function makeRow(cells) {
  const row = document.createElement("tr");
  row.append(...cells.map((content, i) => {
    const cell = document.createElement(i ? "td" : "th");
    if (!i) cell.scope = "row";
    cell.append(content);
    return cell;
  }));
  return row;
}

function showDelays({ delays: measured }) {
  if (!measured) return;
  delays.show([measured.times, measured.median_s, measured.slow_s], measured.times);
  const [median, slow] = measured.overall_s.map(formatSeconds);
  setText(byId("delays-words"), say("delays", { n: formatNumber(measured.count), median, slow }));
  waiting.show([measured.times, measured.waiting], measured.times);
  const known = measured.waiting.filter((count) => count !== null);
  if (known.length) setText(byId("waiting-words"), say("waiting", { now: formatNumber(known[known.length - 1]), most: formatNumber(Math.max(...known)) }));
}

function showKinds({ kinds }) {
  byId("kinds-card").hidden = !kinds;
  if (!kinds) return;
  const format = (value) => (kinds.figure === "accuracy" ? formatPercent(value) : `${formatNumber(value, 2)}${shown.unit ? ` ${shown.unit}` : ""}`);
  setText(byId("kinds").tHead.rows[0].cells[2], say(kinds.figure === "accuracy" ? "accuracy" : "rmse"));
  byId("kinds").tBodies[0].replaceChildren(...kinds.scores.map(({ kind, count, value }) => (
    makeRow([say(KINDS[kind]), formatNumber(count), format(value)]))));
  setText(byId("kinds-words"), say(kinds.is_whole ? "kindsWhole" : "kindsPart", { n: formatNumber(kinds.looked_at) }));
}

function makeBar(share, label) {
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(document.createElement("i"));
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-label", label);
  bar.setAttribute("aria-valuemin", 0);
  fillBar(bar, share, 1);
  return bar;
}

function showCalibration({ calibration }) {
  byId("calibration-card").hidden = !calibration;
  if (!calibration) return;
  const { bins, ece, count } = calibration.calibration;
  byId("calibration").tBodies[0].replaceChildren(...bins.map(({ low, count: answers, confidence, right }) => {
    const name = `${formatNumber(100 * low)}–${formatNumber(100 * low + 10)} %`;
    const cell = document.createElement("span");
    cell.className = "with-bar";
    cell.append(makeBar(right, `${say("right")}, ${name}`), formatPercent(right));
    return makeRow([name, formatNumber(answers), formatPercent(confidence), cell]);
  }));
  setText(byId("calibration-words"), say("calibration", {
    points: formatNumber(100 * ece, 1), ece: formatNumber(ece, 3), version: formatVersion(calibration.version), n: formatNumber(count),
  }));
}

const formatVersion = (name) => (/^\d+$/.test(name) ? formatNumber(Number(name)) : name);

function describeField({ quantiles, shares }) {
  if (shares) return shares.map(([text, share]) => `${text} ${formatWholePercent(share)}`).join(", ") || "–";
  return quantiles ? quantiles.map(formatValue).join(" · ") : "–";
}

function showShift({ since_start: sinceStart, since_hour: sinceHour }) {
  const isHour = byId("shift-against").value === "hour";
  const comparison = isHour ? sinceHour : sinceStart;
  byId("shift-scroll").hidden = !comparison;
  byId("shift-more").hidden = !comparison;
  if (!comparison) return setText(byId("shift-words"), say(isHour ? "shiftNoHour" : "shiftNone"));
  const { shift, fields, moved } = comparison;
  byId("shift").tBodies[0].replaceChildren(...shift.fields.map((field) => {
    const level = document.createElement("span");
    level.textContent = say(LEVELS[field.level]);
    if (field.level === "much") level.className = "bad";
    return makeRow([
      field.name, formatNumber(field.psi, 2), level, describeField(field.then), describeField(field.now),
      formatWholePercent(field.then.missing), formatWholePercent(field.now.missing),
    ]);
  }));
  const values = { n: formatNumber(fields), ...Object.fromEntries(Object.entries(moved).map(([level, count]) => [level, formatNumber(count)])) };
  setText(byId("shift-words"), say(isHour ? "shiftHour" : "shift", { ...values, now: formatNumber(shift.now), then: formatNumber(shift.then) }));
  const more = [
    fields > shift.fields.length ? say("shiftMore", { n: formatNumber(shift.fields.length) }) : "",
    shift.left_out.length ? say("shiftLeftOut", { names: shift.left_out.join(", ") }) : "",
  ];
  setText(byId("shift-more"), more.filter(Boolean).join(" "));
}

function describeEvent({ kind, version }) {
  const name = { restart: "eventRestart", rollback: version ? "eventRollback" : "eventDropped", setting: "eventSetting", pin: "eventPin", unpin: "eventUnpin", feedback: "eventFeedback" }[kind];
  return say(name, { version: formatVersion(version ?? "") });
}

function showEvents({ events }) {
  byId("no-events").hidden = events.length > 0;
  setText(byId("no-events"), say("noEvents"));
  byId("events-scroll").hidden = !events.length;
  const newest = events.slice(-EVENTS).reverse();
  byId("events").tBodies[0].replaceChildren(...newest.map((event) => {
    const letter = document.createElement("b");
    letter.textContent = MARKS[event.kind].letter;
    letter.className = `mark ${MARKS[event.kind].colour}`;
    return makeRow([letter, describeEvent(event), say("ago", { time: formatAge(event.time_s) }), formatNumber(event.offset)]);
  }));
}

/** Ask again and again while the page is looked at; `redraw` draws what else has marks. */
export function followQuality(display, redraw) {
  shown = display;
  byId("shift-against").addEventListener("change", () => quality?.looked && showShift(quality));
  const ask = async () => {
    try {
      const response = document.hidden ? null : await fetch(content.dataset.quality);
      if (response?.ok) {
        quality = await response.json();
        if (quality.looked) {
          [showDelays, showKinds, showCalibration, showShift, showEvents].forEach((show) => show(quality));
          endReading("quality");
          redraw();
        }
      }
    } catch {
      // The stream of messages tells that the server does not answer.
    }
    setTimeout(ask, quality?.looked ? EVERY_MS : EVERY_MS / 5);
  };
  ask();
}
