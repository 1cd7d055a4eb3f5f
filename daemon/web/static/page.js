// What the page does more with JavaScript: it shows the work as it goes on, sends forms without leaving, and lays the
// picture before over the picture after. Without it everything works as well, by loading the page again.
"use strict";

const find = (selector) => document.querySelector(selector);

function say(text) {
  find("#told").textContent = text;
}

// --- the picture before and after ---

function slide() {
  const pair = find(".pair");
  const divide = find("#divide");
  if (!pair || !divide || !divide.hidden) return;
  divide.hidden = false;
  pair.classList.add("sliding");
  const move = () => pair.style.setProperty("--at", divide.value / 100);
  divide.addEventListener("input", move);
  move();
}

function look(frame) {
  const figure = find("#look");
  if (!figure || frame === null || figure.dataset.frame === String(frame)) return;
  figure.dataset.frame = frame;
  const address = `/glimpse/${figure.dataset.job}/${frame}.jpg`;
  const picture = new Image();
  picture.onload = () => {
    for (const image of figure.querySelectorAll("image")) image.setAttribute("href", address);
    figure.querySelector("[data-live=frame]").textContent = (frame + 1).toLocaleString("en");
  };
  picture.src = address;
}

// --- the running job ---

function show(now) {
  for (const name of ["percent", "stage", "count", "speed", "left", "since", "bottleneck", "reused"]) {
    const place = find(`[data-live=${name}]`);
    if (place && place.textContent !== now[name]) place.textContent = now[name];
  }
  const bar = find("#bar");
  if (bar && now.share === null) bar.removeAttribute("value");
  else if (bar) bar.value = now.share;
  const stages = find("#stages");
  if (stages) for (const [stage, busy] of Object.entries(now.stages)) showStage(stages, stage, busy);
  look(now.glimpse);
}

function showStage(stages, stage, busy) {
  let row = [...stages.children].find((child) => child.firstElementChild.textContent === stage);
  if (!row) {
    row = document.createElement("li");
    row.append(document.createElement("span"), document.createElement("meter"), document.createElement("span"));
    row.children[0].textContent = stage;
    row.children[1].setAttribute("aria-label", stage);
    row.children[2].className = "share";
    stages.append(row);
  }
  row.children[1].value = busy;
  row.children[2].textContent = `${Math.round(100 * busy)} %`;
}

// --- the rest of the page, part by part: one that did not change stays as it is, slider, focus and all ---

function take(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  document.title = fresh.title;
  const live = find("#live");
  const freshLive = fresh.querySelector("#live");
  if (!live || !freshLive) {
    find("#main").replaceWith(fresh.querySelector("#main"));
    return;
  }
  const focus = document.activeElement;
  const held = focus && focus.closest("[data-part]");
  const mark = held && [held.dataset.part, focus.form && focus.form.action, focus.textContent.trim()];
  const old = new Map([...live.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
  for (const part of [...freshLive.querySelectorAll("[data-part]")]) {
    const before = old.get(part.dataset.part);
    if (before && same(before, part)) part.replaceWith(before);
  }
  live.replaceWith(freshLive);
  if (mark && document.activeElement === document.body) refocus(mark);
  slide();
}

function same(before, part) {
  if (part.dataset.state) return part.dataset.state === before.dataset.state;
  return part.innerHTML === before.innerHTML;
}

function refocus([part, action, text]) {
  const place = find(`[data-part="${part}"]`);
  const buttons = place ? [...place.querySelectorAll("button")] : [];
  const again = buttons.find((button) => button.form && button.form.action === action && button.textContent.trim() === text);
  (again || buttons[0] || find("#main")).focus({ preventScroll: true });
}

async function refresh() {
  if (!find("#live")) return;
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    if (answer.ok && !answer.redirected) take(await answer.text());
  } catch {
    // the connection is gone; the stream of events comes back by itself and asks again
  }
}

let events = null;

function listen() {
  const live = find("#live");
  if (!live || !window.EventSource || events) return;
  events = new EventSource("/events");
  let shape = live.dataset.shape;
  events.addEventListener("now", (event) => show(JSON.parse(event.data)));
  events.addEventListener("changed", (event) => {
    const told = JSON.parse(event.data).shape;
    if (told !== shape) refresh();
    shape = told;
  });
}

// --- forms ---

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || !form.getAttribute("action").startsWith("/do/")) return;
  event.preventDefault();
  const button = event.submitter;
  if (button) button.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text.split("\n")[0]);
    const fresh = new DOMParser().parseFromString(text, "text/html");
    take(text);
    listen();
    say(fresh.querySelector("#told").textContent);
  } catch (error) {
    say(error.message || "The service does not answer.");
  } finally {
    if (button) button.removeAttribute("aria-busy");
  }
});

slide();
listen();
