import { post } from "./account.js";
import { keptIds } from "./replay.js";

/**
 * The visitor's choice, told to the server, which keeps it in a cookie.
 * @param {import("./index.js").Core} core
 */
export function consent(core) {
  const { hooks, showVisit } = core;
  hooks.optOut = () => {
    for (const id of keptIds()) delete localStorage[`eventtrack:${id}`];
    return post(core, "consent", { choice: "none" });
  };
  hooks.optIn = async () => {
    const answer = await post(core, "consent", { choice: "full" });
    if (!answer.error) {
      hooks.chosen = "full";
      showVisit();
    }
    return answer;
  };
}
