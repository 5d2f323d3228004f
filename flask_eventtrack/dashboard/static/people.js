"use strict";
(() => {
  const feed = document.getElementById("feed");
  if (!feed) return;
  const action = document.getElementById("action");
  action.addEventListener("change", () => action.form.requestSubmit());
  action.form.querySelector("button").hidden = true;
  let isLoading = false;

  async function goOn(link) {
    if (isLoading) return;
    isLoading = true;
    link.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(link.href, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const more = Array.from(page.getElementById("feed").children);
      const days = feed.querySelectorAll(".day"), last = days[days.length - 1];
      const isSame = last && more[0].matches(".day") && more[0].textContent === last.textContent;
      const isFocused = document.activeElement === link;
      link.parentElement.remove();
      feed.append(...more.slice(isSame ? 1 : 0));
      if (isFocused) more[isSame ? 1 : 0]?.querySelector("summary,a")?.focus();
      watch();
    } catch {
      link.removeAttribute("aria-busy"); // the link itself still leads there
      observer?.disconnect();
    }
    isLoading = false;
  }

  const observer = "IntersectionObserver" in window
    ? new IntersectionObserver((seen) => {
        const entry = seen.find((each) => each.isIntersecting);
        if (entry) goOn(entry.target);
      }, { rootMargin: "400px" })
    : null;

  function watch() {
    observer?.disconnect();
    const link = feed.querySelector("a[rel=next]");
    if (link) observer?.observe(link);
  }
  watch();
})();
