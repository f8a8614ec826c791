// The versions of a pipeline: fetched again while the page is seen; serve one of them, or learn on from it.

import { follow, formatNumber, say, setText } from "./live.js";

const byId = (id) => document.getElementById(id);
const models = `/v2/models/${encodeURIComponent(byId("content").dataset.pipeline)}`;
const form = byId("change");
const EVERY_MS = 2000;
let fetchedAt = 0;

const findChosen = () => form.querySelector("input[name=version]:checked")?.value;

/** Replace a table's rows by newer ones; what is chosen, what has the focus, and how far it is scrolled stay. */
function replace(place, fresh) {
  if (place.innerHTML.trim() === fresh.innerHTML.trim()) return;
  const chosen = findChosen();
  const focused = place.contains(document.activeElement) ? document.activeElement.value : null;
  const [old, newer] = [place, fresh].map((part) => part.querySelector("table"));
  if (old && newer && old.tHead.outerHTML === newer.tHead.outerHTML) old.tBodies[0].replaceWith(newer.tBodies[0]);
  else place.replaceChildren(...fresh.childNodes);
  for (const input of place.querySelectorAll("input")) {
    input.checked = input.value === chosen;
    if (input.value === focused) input.focus();
  }
}

async function fetchRows() {
  fetchedAt = Date.now();
  const url = new URL(location.href);
  url.searchParams.set("rows", "1");
  const response = await fetch(url);
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ["rows", "lineages"]) replace(byId(id), fresh.getElementById(id));
}

async function send(path, method, describe) {
  const token = sessionStorage.getItem("token");
  try {
    const response = await fetch(models + path, { method, headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const answer = await response.json();
    if (response.status === 401) {
      byId("token").hidden = false;
      byId("token-field").focus();
    }
    setText(byId("message"), response.ok ? describe(answer) : answer.error);
    await fetchRows();
  } catch {
    setText(byId("message"), say("lost"));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const version = findChosen();
  const name = version.includes(".") ? version : formatNumber(Number(version));
  if (event.submitter.name === "pin") send(`/versions/${version}/pin`, "POST", () => say("pinnedNow", { version: name }));
  else if (window.confirm(say("rollbackSure", { version: name }))) {
    setText(byId("message"), say("rollingBack", { version: name }));
    send(`/versions/${version}/rollback`, "POST", ({ again }) => say(again ? "rolledBack" : "rollbackWaits", { version: name }));
  }
});
form.elements.unpin.addEventListener("click", (event) => {
  event.preventDefault();
  send("/pin", "DELETE", () => say("unpinnedNow"));
});
byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token-field").value);
  byId("token-field").value = "";
  byId("token").hidden = true;
  setText(byId("message"), say("tokenKept"));
});
follow(() => !document.hidden && Date.now() - fetchedAt >= EVERY_MS && fetchRows().catch(() => {}));
