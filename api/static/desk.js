// The desk: after a change the reader is at its heading again, and a form that came opens at its first field.
"use strict";

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  if (target.id === "work") {
    document.getElementById("h-today").focus({ preventScroll: true });
  } else if (target.classList.contains("slot")) {
    (target.querySelector("[aria-invalid]") ?? target.querySelector("select, button"))?.focus();
  }
});

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-empties]");
  if (!closer) return;
  const slot = document.getElementById(closer.dataset.empties);
  slot.replaceChildren();
  document.getElementById(closer.dataset.returns ?? slot.id.replace("slot-", "open-"))?.focus();
});

// Through the list by single keys, as through the labs of a need: j and k go to the next line and the one before,
// Enter does its one action, s opens what else can be done. Never while somebody writes or an input method composes.
document.addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input, textarea, select, [contenteditable], dialog");
  if (writes || gloriaComposing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const lines = [...document.querySelectorAll("#work .item")];
  const here = lines.indexOf(event.target.closest?.(".item"));
  const key = gloriaKey(event);
  if (key === "j" || key === "k") {
    const line = lines[key === "j" ? here + 1 : Math.max(here - 1, 0)];
    line?.querySelector(".act :is(button, .button)")?.focus();
    line?.scrollIntoView({ block: "nearest" });
  } else if (key === "s" && here >= 0) {
    lines[here].querySelector(".later")?.click();
  } else return;
  event.preventDefault();
});
