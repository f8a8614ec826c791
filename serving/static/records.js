// The newest records of a pipeline: fetched again once Kafka has been read, and while they are to be kept up to date.

import { follow, isPolled } from "./live.js";

const rows = document.getElementById("rows");
const keep = document.getElementById("keep");
const EVERY_MS = 2000;
let fetchedAt = 0;

async function fetchRows() {
  fetchedAt = Date.now();
  const url = new URL(location.href);
  url.searchParams.delete("offset");
  url.searchParams.set("rows", "1");
  const response = await fetch(url);
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  rows.replaceChildren(...fresh.body.children);
}

function isWanted(message) {
  if (Date.now() - fetchedAt < EVERY_MS) return false;
  return keep.checked || (rows.querySelector("[data-wait]") !== null && isPolled(message, "kafka"));
}

keep.addEventListener("change", () => keep.checked && fetchRows().catch(() => {}));
follow((message) => isWanted(message) && fetchRows().catch(() => {}));
