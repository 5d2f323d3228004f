import { ask } from "../ask.js";
import { fetch, stringify, URL } from "../natives.js";

/**
 * Posts to the collector.
 * @param {import("../core.js").Core} core
 * @param {string} name
 * @param {object} [content]
 * @returns {Promise<{ error?: import("../record.js").Problem }>}
 */
async function post({ place }, name, content) {
  let code = "no_answer";
  try {
    const cookies = ask("cookie").split("; ").sort().join("; ");
    const [, csrf_token] = /(?:^|; )(?:__Host-)?eventtrack_csrf=([^;]*)/.exec(cookies) || [];
    const body = stringify({ ...content, csrf_token });
    const response = await fetch(new URL(`../${name}`, place), {
      method: "POST",
      credentials: "include",
      body,
    });
    if (response.status === 204) return {};
    code = `http_${response.status}`;
    const answer = await response.json();
    if (response.ok) return answer;
    return { error: { code: answer.code || code, message: answer.detail, param: null } };
  } catch (error) {
    return { error: { code, message: `${error}`, param: null } };
  }
}

/**
 * What the script's API leaves to this file. Earlier events are sent first: they may be somebody
 * else's.
 * @type {{ [name: string]: (core: import("../core.js").Core, token?: string) => Promise<EventTrack.Answer> }}
 */
export const calls = {
  identify: (core, token) => core.api.flush().then(() => post(core, "identify", { token })),
  logout: (core) => core.api.flush().then(() => post(core, "logout")),
  optOut: (core) => post(core, "consent", { choice: "none" }),
  async optIn(core) {
    const answer = await post(core, "consent", { choice: "full" });
    if (!answer.error) {
      core.hooks.chosen = "full";
      core.showVisit();
    }
    return answer;
  },
};
