"use strict";
// A button beside each URL that copies it.
for (const field of document.querySelectorAll("input.url")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    field.select();
    let isCopied = false;
    try {
      await navigator.clipboard.writeText(field.value);
      isCopied = true;
    } catch {
      isCopied = document.execCommand("copy"); // over plain HTTP there is no clipboard
    }
    button.textContent = isCopied ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 3000);
  });
  field.after(button);
  field.addEventListener("focus", () => field.select());
}
