import { fetch, stringify, URL } from "../natives.js";
import { ask, core } from "./kit.js";

/**
 * Posts to the collector.
 * @param {string} name
 * @param {object} [content]
 * @returns {Promise<EventTrack.Answer>}
 */
async function post(name, content) {
  let code = "no_answer";
  try {
    const cookies = ask("cookie").split("; ").sort().join("; ");
    const [, csrf_token] = /(?:^|; )(?:__Host-)?eventtrack_csrf=([^;]*)/.exec(cookies) || [];
    const response = await fetch(new URL(`../${name}`, core.place), {
      method: "POST",
      credentials: "include",
      body: stringify({ ...content, csrf_token }),
    });
    if (response.status === 204) return {};
    code = `http_${response.status}`;
    const answer = await response.json();
    if (response.ok) return answer;
    code = answer.code || code;
    throw answer.detail ?? code;
  } catch (error) {
    return { error: { code, message: `${error}`, param: null } };
  }
}

/**
 * What the script's API leaves to this file. Earlier events are sent first: they may be somebody
 * else's.
 * @type {{ [name: string]: (token?: string) => Promise<EventTrack.Answer> }}
 */
export const calls = {
  identify: (token) => core.api.flush().then(() => post("identify", { token })),
  logout: () => core.api.flush().then(() => post("logout")),
  optOut: () => post("consent", { choice: "none" }),
  async optIn() {
    const answer = await post("consent", { choice: "full" });
    if (!answer.error) {
      core.hooks.chosen = "full";
      core.showVisit();
    }
    return answer;
  },
};
