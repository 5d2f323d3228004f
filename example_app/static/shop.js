/* What the shop's pages do in the browser. All of it is optional: without this script, or without
   Flask-EventTrack's, every page and form still works. What is tracked is in the templates'
   data-eventtrack attributes. Only the wish is tracked from here, because it shows the answer. */
(() => {
  "use strict";

  const track = (action, params, refused) => {
    const queue = (window.eventtrack = window.eventtrack || []);
    if (typeof queue.push !== "function") return;
    queue.push((et) => et.track(action, params).then(({ status }) => status === "rejected" && refused()));
  };

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
      button.setAttribute("aria-pressed", "true");
      button.dataset.eventtrackSkip = ""; // one heart a look
      answer.textContent = "Thank you!";
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
  each("#wish-button", offerWish);
  each(".heart", offerLike);
  each("#lookbook", runLookbook);
  each("time[data-local]", localise);
})();
