// Times become the reader's own; what changed is fetched and put in place. Without this script the page says the same.
"use strict";

const FALL_BACK_EVERY = 30_000;
const AT_MOST_EVERY = 5_000;
const SILENT_AFTER = 45_000;

const two = (number) => String(number).padStart(2, "0");
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const clock = (at, utc) => utc ? `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}` : `${two(at.getHours())}:${two(at.getMinutes())}`;

// A line may end between the reader's time and UTC, and nowhere else.
function whole(text) {
  const span = document.createElement("span");
  span.className = "whole";
  span.textContent = text;
  return span;
}

function localise(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    const today = at.toDateString() === new Date().toDateString();
    const local = (today ? "" : day.format(at) + " ") + clock(at, false);
    const said = at.getTimezoneOffset() === 0 ? [`${local} UTC`] : [local, `(${clock(at, true)} UTC)`];
    time.querySelector(".local").replaceChildren(...said.map(whole).flatMap((each) => [" ", each]).slice(1));
    time.title = at.toISOString();
  }
}

function says(id, text) {
  const place = document.getElementById(id);
  if (place && place.textContent !== text) place.textContent = text;
}

// A form that somebody fills in is never pulled away from under the fingers.
const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

function take(fresh) {
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || busy(part)) continue;
    localise(next);
    if (next.innerHTML === part.dataset.shown) continue;
    const open = new Set([...part.querySelectorAll("details[open][id]")].map((each) => each.id));
    const focused = part.contains(document.activeElement) ? document.activeElement.closest("[id]")?.id : null;
    part.className = next.className;
    part.dataset.shown = next.innerHTML;
    part.replaceChildren(...next.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) (document.getElementById(focused)?.querySelector("a, summary, button") ?? part).focus({ preventScroll: true });
  }
}

let lastHeard = Date.now();
let lastTaken = 0;
let asked = null;

async function refresh() {
  asked = null;
  lastTaken = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    lastHeard = Date.now();
    says("live", "");
    if (document.querySelector(".away")) setTimeout(() => soon(0), AT_MOST_EVERY);
  } catch {
    says("live", `Not updating: the agent does not answer since ${clock(new Date(lastHeard), false)}`);
  }
}

function soon(wait) {
  const left = Math.max(wait, lastTaken + AT_MOST_EVERY - Date.now());
  if (asked === null) asked = setTimeout(refresh, Math.max(0, left));
}

function listen() {
  const events = new EventSource("/api/v1/events");
  events.addEventListener("changed", () => soon(0));
  events.addEventListener("error", () => soon(0));
}

localise(document);
if (zone) says("zone", `Times are yours (${zone}); UTC stands in brackets.`);
for (const part of document.querySelectorAll("[data-live]")) part.dataset.shown = part.innerHTML;
if (document.querySelector("[data-live]")) {
  listen();
  if (document.querySelector(".away")) setTimeout(() => soon(0), AT_MOST_EVERY);
  setInterval(() => { if (!document.hidden && Date.now() - lastTaken > FALL_BACK_EVERY - 1000) soon(0); }, FALL_BACK_EVERY);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(0); });
  setInterval(() => { if (Date.now() - lastHeard > SILENT_AFTER) soon(0); }, SILENT_AFTER);
}
