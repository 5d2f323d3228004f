"use strict";
// Everything works without this script. It adds hover, keyboard and live.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const menus = () => all("details.menu[open]");

  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });

  // The chart: its points are on the SVG, its words in the table.
  for (const figure of all("figure.chart")) {
    const canvas = figure.querySelector(".canvas");
    const rows = all("tbody tr:not(.noted)", figure);
    if (!canvas || !rows.length) continue;
    const cross = make("i", "cross"), spot = make("i", "spot"), tip = make("div", "tip");
    let at = -1;
    const places = (svg) => svg.dataset.places.split(" ").map((place) => (place === "-" ? null : place.split(",").map(Number)));
    const shown = () => all("svg", canvas).find((svg) => svg.getClientRects().length);
    const hide = () => {
      at = -1;
      for (const element of [cross, spot, tip]) element.remove();
    };
    const show = (index) => {
      const svg = shown();
      const point = svg && places(svg)[index];
      if (!point) return;
      at = index;
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const [x, y] = point.map((number) => number * scale);
      const [value, before, when] = all("td", rows[index]).map((cell) => cell.textContent);
      tip.replaceChildren(make("small", "", rows[index].cells[0].textContent), make("b", "", value));
      if (before) tip.append(make("small", "", `${before} · ${when}`));
      const below = rows[index].nextElementSibling;
      const notes = below?.matches(".noted") ? all("p", below).map((note) => make("small", "note", note.textContent)) : [];
      tip.append(...notes.slice(0, 3));
      if (notes.length > 3) tip.append(make("small", "", `and ${notes.length - 3} more in the table`));
      canvas.append(cross, spot, tip);
      cross.style.left = spot.style.left = `${x}px`;
      spot.style.top = `${y}px`;
      const room = canvas.clientWidth, width = tip.offsetWidth;
      const left = x + 14 + width > room ? x - 14 - width : x + 14;
      tip.style.left = `${Math.max(0, Math.min(left, room - width))}px`;
      tip.style.top = `${Math.max(0, y - tip.offsetHeight - 8)}px`;
    };
    canvas.addEventListener("pointermove", (event) => {
      const svg = shown();
      if (!svg) return;
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
      let best = -1, least = Infinity;
      places(svg).forEach((point, index) => {
        if (point && Math.abs(point[0] - x) < least) [best, least] = [index, Math.abs(point[0] - x)];
      });
      if (best >= 0 && best !== at) show(best);
    });
    canvas.addEventListener("pointerleave", hide);
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "group");
    canvas.setAttribute("aria-label", `${figure.getAttribute("aria-label")}: left and right arrows read each point`);
    tip.setAttribute("role", "status");
    canvas.addEventListener("blur", hide);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -rows.length, End: rows.length }[event.key];
      if (event.key === "Escape" && at >= 0) hide();
      else if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      else {
        let next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + step));
        const found = places(shown());
        while (next > 0 && !found[next]) next--;
        show(next);
      }
      event.preventDefault();
      event.stopPropagation();
    });
  }

  // The keyboard: links say their own keys.
  const named = (element) => (element.dataset.opens === "c" ? "Choose days" : element.matches("details") ? "Add a filter" : element.getAttribute("aria-label") || element.firstChild.textContent);
  const arrows = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
  let dialog;
  const help = () => {
    if (!dialog) {
      dialog = make("dialog");
      dialog.setAttribute("aria-labelledby", "keys-title");
      const title = make("h2", "", "Keys");
      title.id = "keys-title";
      const list = make("dl");
      const add = (key, text) => {
        const term = make("dt");
        term.append(make("kbd", "", key));
        list.append(term, make("dd", "", text));
      };
      for (const link of all("a[data-key]")) add(arrows[link.dataset.key] || link.dataset.key.toUpperCase(), link.dataset.key === "Escape" ? "Clear all filters" : named(link));
      for (const target of all("[data-opens]")) add(target.dataset.opens.toUpperCase(), named(target));
      add("?", "This list");
      const form = make("form");
      form.method = "dialog";
      form.append(make("button", "btn", "Close"));
      dialog.append(title, list, form);
      document.body.append(dialog);
    }
    dialog.showModal();
  };
  const bar = document.querySelector("nav.main");
  if (bar && document.querySelector("[data-key]")) {
    const button = make("button", "", "?");
    button.type = "button";
    button.title = "Keys";
    button.setAttribute("aria-label", "Keys");
    button.addEventListener("click", help);
    bar.append(button);
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const open = menus();
    if (event.key === "Escape" && open.length) {
      for (const menu of open) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
      return;
    }
    if (event.target.closest("input,select,textarea")) return;
    if (event.key === "?") return help();
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const opened = all("[data-opens]").find((element) => element.dataset.opens === key);
    if (opened) {
      const menu = opened.closest("details");
      menu.open = true;
      (opened === menu ? menu.querySelector("select") : opened).focus();
      return event.preventDefault();
    }
    const link = all("a[data-key]").find((element) => element.dataset.key === key);
    if (link) {
      event.preventDefault();
      location.assign(link.href);
    }
  });

  // A page that waits looks for another one at its address. What is typed into it stays until then.
  const waiting = document.querySelector("[data-again]");
  if (waiting) {
    waiting.hidden = false;
    let isLooking = false;
    const look = async () => {
      if (document.hidden || isLooking) return;
      isLooking = true;
      try {
        const answer = await fetch(location.href);
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        // A proxy's page, while the app starts again, would not look again.
        if (answer.status >= 500 && !next.querySelector("[data-again]")) return;
        const text = (root, selector) => root.querySelector(selector)?.textContent;
        if (text(next, "h1") !== text(document, "h1")) return location.replace(location.pathname + location.search);
        const status = text(next, "[role=status]");
        if (status && status !== text(document, "[role=status]")) document.querySelector("[role=status]").textContent = status;
      } catch {
        // The next look may find the server again.
      } finally {
        isLooking = false;
      }
    };
    setInterval(look, waiting.dataset.again * 1000);
    document.addEventListener("visibilitychange", look);
  }
})();
