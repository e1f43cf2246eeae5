// After a piece of evidence was moved, the keyboard stays on it; a preview in another window leaves the form usable.
"use strict";

document.addEventListener("htmx:afterSwap", () => {
  const moved = document.getElementById("moved");
  if (!moved) return;
  const wish = moved.dataset.wish;
  const opposite = { up: "down", down: "up", retire: "return", return: "retire" }[wish];
  const button = [wish, opposite]
    .map((one) => document.querySelector(`button[value="${CSS.escape(`${one}:${moved.dataset.evidence}`)}"]:not([disabled])`))
    .find(Boolean);
  if (button) button.focus();
});

document.addEventListener("submit", (event) => {
  if (event.submitter?.matches("[data-again]")) event.target.removeAttribute("data-sent");
});
