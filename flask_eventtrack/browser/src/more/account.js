import { ask } from "../ask.js";
import { fetch, stringify, URL } from "../natives.js";

/**
 * Posts to the collector.
 * @param {import("./index.js").Core} core
 * @param {string} name
 * @param {object} [content]
 * @returns {Promise<{ error?: import("../record.js").Problem }>}
 */
export async function post({ place }, name, content) {
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
 * Logs in or out. Earlier events are sent first: they may be somebody else's.
 * @param {import("./index.js").Core} core
 */
export function account(core) {
  const { api, hooks } = core;
  hooks.identify = (token) => api.flush().then(() => post(core, "identify", { token }));
  hooks.logout = () => api.flush().then(() => post(core, "logout"));
}
