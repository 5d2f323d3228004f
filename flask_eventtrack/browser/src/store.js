/**
 * Keeps an event in localStorage; without a value, forgets it. Where storage is full or forbidden
 * nothing happens.
 * @param {string} id
 * @param {string} [value]
 */
export const keep = (id, value) => {
  try {
    id = `eventtrack:${id}`;
    if (value) localStorage[id] = value;
    else delete localStorage[id];
  } catch (_) {
    // the event lives as long as the page
  }
};
