// The desk: after a change the reader is at its heading again, and a form that came opens at its first field.
"use strict";

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  if (target.id === "work") {
    document.getElementById("h-today").focus({ preventScroll: true });
  } else if (target.classList.contains("slot")) {
    (target.querySelector("[aria-invalid]") ?? target.querySelector("select"))?.focus();
  }
});

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-empties]");
  if (!closer) return;
  const slot = document.getElementById(closer.dataset.empties);
  slot.replaceChildren();
  document.getElementById(slot.id.replace("slot-", "open-"))?.focus();
});
