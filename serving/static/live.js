// What all pages share: texts, numbers, and the stream of messages that keeps a page up to date.

export const language = document.documentElement.lang;
const words = JSON.parse(document.getElementById("words").textContent);
const PARTS = { kafka: "Kafka", redis: "Redis", flink: "Flink" };
const RETRY_MS = 1500;

/** Return a sentence in the page's language, each `%(name)s` filled in. */
export function say(name, values = {}) {
  return words[name].replace(/%\((\w+)\)s/g, (_, key) => values[key]);
}

/** Return a word in the page's language, or the name itself where there is no such word. */
export function translate(name) {
  return words[name] ?? name;
}

export function formatNumber(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function formatPercent(share) {
  if (share === null || share === undefined) return "–";
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);
}

function formatDuration(seconds) {
  const units = [["days", 86400], ["hours", 3600], ["minutes", 60]];
  const [name, unit] = units.find(([, length]) => seconds >= 2 * length) ?? ["seconds", 1];
  return say(name, { n: formatNumber(Math.max(0, seconds) / unit) });
}

export function formatAge(written_s) {
  return formatDuration(Date.now() / 1000 - written_s);
}

/** Set an element's text only if it differs: a screen reader then reads out only what is new. */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Say that there is nothing to show, where captions of this source still say that it is being read. */
export function endReading(source = "live") {
  for (const caption of document.querySelectorAll(`[data-source="${source}"]`)) {
    if (caption.textContent === say("reading")) setText(caption, say("nothingToShow"));
  }
}

/** Return whether a part has been polled since somebody watches. */
export function isPolled(message, name) {
  return message.parts.find((part) => part.name === name).polled;
}

/** Return whether Kafka has been read since somebody watches. */
export function isRead(message) {
  return message.parts.some(({ name, polled, trouble }) => name === "kafka" && polled && !trouble);
}

/** Fill a bar to the share that `value` is of `most`. */
export function fillBar(bar, value, most) {
  bar.firstElementChild.style.width = `${(100 * value) / most}%`;
  // Not as 1e-7, which screen readers do not understand.
  bar.setAttribute("aria-valuenow", Number(value).toFixed(3));
  bar.setAttribute("aria-valuemax", most);
}

function describeTroubles(message) {
  const away = message.parts.filter((part) => part.trouble);
  const sentences = away.map((part) => say("away", { part: PARTS[part.name] }));
  if (isPolled(message, "flink") && !away.some((part) => part.name === "flink")) {
    if (message.job === null) sentences.push(say("noJob", { pipeline: message.pipeline }));
    else if (message.job !== "running") sentences.push(say("job", { state: message.job }));
  }
  if (message.trouble) sentences.push(say("trouble", { reason: message.trouble }));
  return sentences;
}

function showTroubles(sentences) {
  const place = document.getElementById("troubles");
  place.hidden = !sentences.length;
  if (place.innerText.trim() === sentences.join("\n").trim() && sentences.length) return;
  place.replaceChildren(...sentences.map((sentence) => {
    const line = document.createElement("p");
    line.textContent = sentence;
    return line;
  }));
}

function describeServed(model) {
  if (!model) return say("noModel");
  const values = { version: formatNumber(model.version), age: formatAge(model.written_s), samples: formatNumber(model.samples) };
  return say(model.pinned ? "pinned" : "served", values);
}

/** Call `show` with each message and show what is wrong; a connection that breaks is opened again, without end. */
export function follow(show) {
  const url = document.getElementById("content").dataset.live;
  let events = null;
  let newest = null;
  const served = document.getElementById("served");
  const open = () => {
    events = new EventSource(url);
    events.onmessage = (event) => {
      newest = JSON.parse(event.data);
      document.documentElement.dataset.connection = "open";
      showTroubles(describeTroubles(newest));
      setText(served, describeServed(newest.model));
      show(newest);
    };
    events.onerror = () => {
      document.documentElement.dataset.connection = "lost";
      showTroubles([say("lost")]);
      if (events.readyState === EventSource.CLOSED) setTimeout(open, RETRY_MS);
    };
  };
  open();
  setInterval(() => newest && setText(served, describeServed(newest.model)), 1000);
  window.addEventListener("pagehide", () => events.close());
  window.addEventListener("pageshow", (event) => event.persisted && open());
}
