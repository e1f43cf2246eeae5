// What every page shares: a form that was sent waits instead of being sent twice, and a dialog is opened and closed.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-sent]")) {
    event.preventDefault();
    return;
  }
  // htmx sends forms itself and can send the same one again after an answer.
  if (!form.matches("[hx-post],[hx-get],[method=dialog]")) {
    form.setAttribute("data-sent", "");
  }
});

// A page that comes back out of the browser's memory may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) form.removeAttribute("data-sent");
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
});
