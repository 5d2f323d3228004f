const LATER = 500; // ms: as the core waits

/**
 * Keeps in localStorage what has no answer yet. Where storage is full or forbidden, an event lives
 * as long as the page.
 * @param {import("../core.js").Core} core
 */
export function keep({ hooks, unanswered }) {
  hooks.keep = (item, isAnswered) => {
    const key = `eventtrack:${item.id}`;
    try {
      if (isAnswered) delete localStorage[key];
      else if (!item.isKept) {
        item.isKept = true;
        localStorage[key] = `${item.owner}|${item.encoded}`;
      }
    } catch (_) {
      // full or forbidden
    }
  };
  setTimeout(() => unanswered().forEach((item) => hooks.keep?.(item)), LATER);
}
