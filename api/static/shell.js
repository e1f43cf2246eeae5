// What every page shares: a form that was sent waits instead of being sent twice, and a dialog is opened and closed.
"use strict";

// Which key was meant. With a Chinese keyboard on, event.key is a sign of that keyboard, or only says that the input
// method has it: then the place of the key tells the letter. Caps Lock makes no other key of it.
window.gloriaKey = (event) => {
  if (/^[A-Za-z]$/.test(event.key)) return event.key.toLowerCase();
  if (/^[ -~]$/.test(event.key) || (event.key.length > 1 && !["Process", "Unidentified"].includes(event.key))) return event.key;
  const place = /^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/.exec(event.code ?? "");
  if (place) return (place[1] ?? place[2]).toLowerCase();
  return event.code === "Slash" && event.shiftKey ? "?" : event.key;
};

// While an input method composes, every key is its own: Escape closes its candidates and not our form. Safari sends the
// key that ends a composition after it has ended, with the code 229 that stands for "the input method has it"; outside of
// a field nothing is composed, and there the same code only says that a Chinese keyboard is on.
window.gloriaComposing = (event) =>
  event.isComposing || (event.keyCode === 229 && Boolean(event.target.closest?.("input, textarea, [contenteditable]")));

// A dialog closes on Escape by itself, unless the key was the input method's.
let lastEscapeComposed = false;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" || event.code === "Escape") lastEscapeComposed = gloriaComposing(event);
}, true);
document.addEventListener("cancel", (event) => {
  if (event.target.matches("dialog") && lastEscapeComposed) event.preventDefault();
  lastEscapeComposed = false;
}, true);

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

// The search on every page: Ctrl-K leads there from anywhere, what is typed is looked for when it is whole and not while
// an input method composes it, and the arrow keys go through what was found.
{
  const field = document.getElementById("find");
  const list = document.getElementById("suggestions");
  const typed = () => {
    if (field.value.trim()) htmx.trigger(field, "typed");
    else list.replaceChildren();
  };
  document.addEventListener("keydown", (event) => {
    if (!field || gloriaComposing(event)) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && gloriaKey(event) === "k") {
      event.preventDefault();
      field.focus();
      field.select();
    }
    if (!event.target.closest?.(".find")) return;
    if (event.key === "Escape") {
      list.replaceChildren();
      field.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [field, ...list.querySelectorAll("a")];
    const next = stops[stops.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
  field?.addEventListener("input", (event) => { if (!event.isComposing) typed(); });
  field?.addEventListener("compositionend", typed);
  // What comes back after the field was emptied or left is not shown any more.
  list?.addEventListener("htmx:beforeSwap", (event) => { event.detail.shouldSwap &&= Boolean(field.value.trim()); });
  field?.form.addEventListener("focusout", (event) => {
    if (!field.form.contains(event.relatedTarget)) list.replaceChildren();
  });
}

// What is being fetched says so, to eyes and to a reader.
// A refusal may be put elsewhere than where the answer was to come: what was busy is remembered.
const busy = new WeakMap();
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  busy.set(detail.xhr, detail.target);
  detail.target.setAttribute("aria-busy", "true");
});
document.addEventListener("htmx:afterRequest", ({ detail }) => busy.get(detail.xhr)?.removeAttribute("aria-busy"));
