// The review by keyboard: j and k go on and back, in the list from one result to the next, on a result by its links.
"use strict";

document.addEventListener("keydown", (event) => {
  if (gloriaComposing(event)) return;
  const key = gloriaKey(event);
  if (event.ctrlKey || event.metaKey || event.altKey || (key !== "j" && key !== "k")) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const link = document.querySelector(`a[data-key="${key}"]`);
  if (link) {
    link.click();
    return;
  }
  const rows = [...document.querySelectorAll(".queue a.opens")];
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement);
  const to = key === "j" ? at + 1 : at < 0 ? 0 : at - 1;
  rows[Math.max(0, Math.min(rows.length - 1, to))].focus();
});
