/* What the shop reports from the browser. All of it is optional: without this script, or without
   Flask-EventTrack's, every page and form still works. */
(() => {
  "use strict";

  const withTracker = (use) => {
    const queue = (window.eventtrack = window.eventtrack || []);
    if (typeof queue.push === "function") queue.push(use);
  };

  const track = (action, params, refused) =>
    withTracker((et) => et.track(action, params).then(({ status }) => status === "rejected" && refused?.()));

  function watchBanner(banner) {
    const id = banner.dataset.banner;
    let since = null;
    const start = () => {
      if (since === null) since = performance.now();
    };
    const stop = () => {
      if (since === null) return;
      const dwell = Math.round(performance.now() - since);
      since = null;
      if (dwell >= 1500) track("element.hover", { id: banner.id, dwell_ms: dwell });
    };
    banner.addEventListener("pointerenter", start);
    banner.addEventListener("pointermove", start);
    banner.addEventListener("pointerleave", stop);
    window.addEventListener("pagehide", stop);
    banner.querySelector("a").addEventListener("click", () => {
      stop();
      track("banner.click", { id });
    });
  }

  function watchForm(form, name) {
    form.addEventListener("submit", () => {
      const params = { form: name };
      for (const field of form.querySelectorAll("[data-eventtrack-field]")) params[field.name] = field.value;
      track("form.submit", params);
    });
  }

  function offerWish(button) {
    const answer = document.getElementById("wish-answer");
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      const { sku, name } = button.dataset;
      answer.textContent = "Wish noted.";
      track("product.wish", { sku, name }, () => (answer.textContent = "Please log in first."));
    });
  }

  function offerLike(button) {
    const answer = button.parentElement.querySelector("[role=status]");
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-pressed") === "true") return;
      button.setAttribute("aria-pressed", "true");
      answer.textContent = "Thank you!";
      track("lookbook.like", { look: button.dataset.like });
    });
  }

  function runLookbook(book) {
    const pages = [...book.querySelectorAll("[data-look]")];
    const slugOf = (path) => path.replace(/\/+$/, "").split("/lookbook")[1]?.slice(1) ?? "";

    let shown = slugOf(location.pathname);

    const show = (slug) => {
      shown = slug;
      const page = pages.find((candidate) => candidate.dataset.look === slug) ?? pages[0];
      for (const other of pages) other.hidden = other !== page;
      document.title = page.dataset.title;
      withTracker((et) => et.page());
      page.querySelector("h1").focus({ preventScroll: true });
    };

    book.addEventListener("click", (event) => {
      const link = event.target.closest("[data-look-link]");
      if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      history.pushState({}, "", link.href);
      show(link.dataset.lookLink);
      window.scrollTo(0, 0);
    });
    window.addEventListener("popstate", () => {
      const slug = slugOf(location.pathname);
      if (slug !== shown) show(slug);
    });
  }

  function localise(time) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }

  const each = (selector, use) => document.querySelectorAll(selector).forEach((element) => use(element));
  each("[data-banner]", watchBanner);
  each("#newsletter-form", (form) => watchForm(form, "newsletter"));
  each("#wish-button", offerWish);
  each("[data-like]", offerLike);
  each("#lookbook", runLookbook);
  each("time[data-local]", localise);
})();
