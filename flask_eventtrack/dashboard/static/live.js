"use strict";
(() => {
  const root = document.getElementById("live");
  if (!root) return;
  const PAUSE = 2000, SHOWN = 50, SLOW = 15000;
  const find = (id) => document.getElementById(id);
  const events = find("events"), here = find("here"), state = find("state"), pause = find("pause");
  const known = new Set(Array.from(events.children, (row) => row.dataset.id));
  let after = root.dataset.after, isPaused = false, timer = 0, isAsking = false, wait = PAUSE;

  const copy = (id) => find(id).content.firstElementChild.cloneNode(true);
  const plural = (number, one, more) => `${number.toLocaleString("en")} ${number === 1 ? one : more}`;
  const say = (text, isOn) => {
    state.lastElementChild.textContent = text;
    state.classList.toggle("off", !isOn);
  };

  function addEvent(item) {
    const row = copy("event-row"), link = row.querySelector("a");
    row.dataset.id = item.id;
    row.querySelector("time").textContent = item.time;
    row.querySelector(".mark").classList.add(item.kind);
    row.querySelector("b").textContent = item.label;
    link.href = item.url;
    link.firstElementChild.textContent = item.who;
    link.nextElementSibling.textContent = item.seen ? ` · ${item.seen}` : "";
    row.querySelector("code").textContent = item.action;
    events.prepend(row);
  }

  function makePerson(each) {
    const row = copy("here-row"), link = row.querySelector("a");
    link.href = each.url;
    link.firstElementChild.textContent = each.name;
    row.querySelector(".age").textContent = each.age;
    row.querySelector("code").textContent = each.path;
    row.querySelector("small bdi").textContent = [each.source, each.note].filter(Boolean).join(" · ");
    return row;
  }

  function show(live) {
    for (const item of live.events.filter((each) => !known.has(each.id)).reverse()) addEvent(item);
    // What the server sends again is remembered; what it no longer sends cannot come back.
    known.clear();
    for (const item of live.events) known.add(item.id);
    while (events.children.length > SHOWN) events.lastElementChild.remove();
    for (const row of events.children) known.add(row.dataset.id);
    events.nextElementSibling.hidden = events.children.length > 0;
    if (!here.contains(document.activeElement)) {
      here.replaceChildren(...live.here.map(makePerson));
      here.nextElementSibling.hidden = live.here.length > 0;
    }
    find("sum").textContent =
      `${plural(live.people, "person", "people")} on ${plural(live.pages, "page", "pages")} in the last 5 minutes`;
    after = live.after || after;
  }

  async function ask() {
    if (isAsking || isPaused || document.hidden) return;
    isAsking = true;
    try {
      const query = new URLSearchParams({ after, action: root.dataset.action });
      const answer = await fetch(`${root.dataset.url}?${query}`, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
      say("live", true);
      wait = PAUSE;
    } catch {
      say("no answer, trying again", false);
      wait = Math.min(wait * 2, SLOW);
    }
    isAsking = false;
    plan(wait);
  }

  function plan(delay) {
    clearTimeout(timer);
    if (!isPaused && !document.hidden) timer = setTimeout(ask, delay);
  }

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(isPaused));
    say(isPaused ? "paused" : "live", !isPaused);
    plan(0);
  });
  document.addEventListener("visibilitychange", () => plan(0));
  find("action").addEventListener("change", (event) => event.target.form.requestSubmit());
  find("action").form.querySelector("button").hidden = true;
  state.hidden = pause.hidden = false;
  find("refresh").hidden = true;
  plan(PAUSE);
})();
