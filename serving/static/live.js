// What all pages share: words, numbers, and the stream of messages that keeps a page up to date.

export const language = document.documentElement.lang;
const words = JSON.parse(document.getElementById("words").textContent);
const PARTS = { kafka: "Kafka", redis: "Redis", flink: "Flink" };
const RETRY_MS = 1500;

/** A sentence of the page's language, its `%(name)s` filled in. */
export function say(name, values = {}) {
  return words[name].replace(/%\((\w+)\)s/g, (_, key) => values[key]);
}

/** A word, or the name itself where there is no such word. */
export function word(name) {
  return words[name] ?? name;
}

export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);
}

function ago(seconds) {
  const units = [["days", 86400], ["hours", 3600], ["minutes", 60]];
  const [name, unit] = units.find(([, length]) => seconds >= 2 * length) ?? ["seconds", 1];
  return say(name, { n: number(Math.max(0, seconds) / unit) });
}

export function since(written_s) {
  return ago(Date.now() / 1000 - written_s);
}

/** Replace what an element holds, only if it is something else: a screen reader then says only what is new. */
export function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Whether a part has been looked at since somebody watches. */
export function looked(message, name) {
  return message.parts.find((part) => part.name === name).looked;
}

/** Fill a bar as far as `value` goes of `most`. */
export function fill(bar, value, most) {
  bar.firstElementChild.style.width = `${(100 * value) / most}%`;
  // Not as 1e-7, which no reader of the attribute understands.
  bar.setAttribute("aria-valuenow", Number(value).toFixed(3));
  bar.setAttribute("aria-valuemax", most);
}

function describe(message) {
  const away = message.parts.filter((part) => part.trouble);
  const found = away.map((part) => say("away", { part: PARTS[part.name] }));
  if (looked(message, "flink") && !away.some((part) => part.name === "flink")) {
    if (message.job === null) found.push(say("noJob"));
    else if (message.job !== "running") found.push(say("job", { state: message.job }));
  }
  if (message.trouble) found.push(say("trouble", { why: message.trouble }));
  return found;
}

function showTroubles(found) {
  const place = document.getElementById("troubles");
  place.hidden = !found.length;
  if (place.innerText.trim() === found.join("\n").trim() && found.length) return;
  place.replaceChildren(...found.map((sentence) => {
    const line = document.createElement("p");
    line.textContent = sentence;
    return line;
  }));
}

function showServed(model) {
  if (!model) return say("noModel");
  const values = { version: number(model.version), age: since(model.written_s), samples: number(model.samples) };
  return say(model.pinned ? "pinned" : "served", values);
}

/** Show each message, and say what is missing; a connection that breaks is opened again for ever. */
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
      showTroubles(describe(newest));
      put(served, showServed(newest.model));
      show(newest);
    };
    events.onerror = () => {
      document.documentElement.dataset.connection = "lost";
      showTroubles([say("lost")]);
      if (events.readyState === EventSource.CLOSED) setTimeout(open, RETRY_MS);
    };
  };
  open();
  setInterval(() => newest && put(served, showServed(newest.model)), 1000);
  window.addEventListener("pagehide", () => events.close());
  window.addEventListener("pageshow", (event) => event.persisted && open());
}
