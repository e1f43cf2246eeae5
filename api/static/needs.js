// Reviewing labs with the keyboard. Everything here also works by mouse, and but for the keys without this script.
"use strict";

(() => {
  const KEPT = "gloria-shortcuts";
  const list = () => [...document.querySelectorAll(".candidate")];
  const cardAt = (element) => element?.closest?.(".candidate") ?? null;
  let lastCard = null;

  const focusOn = (card) => {
    if (!card) return;
    lastCard = card.id;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  };
  const current = () => cardAt(document.activeElement) ?? document.getElementById(lastCard ?? "") ?? null;

  const step = (by) => {
    const cards = list();
    const here = cards.indexOf(current());
    const there = here < 0 ? 0 : Math.min(Math.max(here + by, 0), cards.length - 1);
    focusOn(cards[there]);
  };

  const openForm = (card, key) => {
    const details = card?.querySelector(`details[data-key="${key}"]`);
    if (!details) return;
    details.open = true;
    details.querySelector("select, input:not([type=hidden])").focus();
  };
  const press = (card, key) => card?.querySelector(`button[data-key="${key}"]`)?.click();

  const undo = () => {
    const own = current()?.querySelector('button[data-key="u"]');
    (own ?? document.querySelector("[data-undo-last]"))?.click();
  };

  // Two are compared: whoever chooses a third one drops the first.
  let chosen = [];
  const choose = (box) => {
    chosen = chosen.filter((one) => one.isConnected && one.checked && one !== box);
    if (box.checked) chosen.push(box);
    while (chosen.length > 2) chosen.shift().checked = false;
    return chosen.length === 2;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("input[form=compare]")) choose(event.target);
  });
  const toggleChoice = (card) => {
    const box = card?.querySelector("input[form=compare]");
    if (!box) return;
    box.checked = !box.checked;
    if (choose(box) && box.checked) document.getElementById("compare").requestSubmit();
  };

  const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    a: () => press(current(), "a"),
    d: () => openForm(current(), "d"),
    r: () => openForm(current(), "r"),
    e: () => {
      const grounds = current()?.querySelector(".grounds");
      if (grounds) grounds.open = !grounds.open;
    },
    u: undo,
    c: () => toggleChoice(current()),
    o: () => press(current(), "o"),
    "?": () => document.getElementById("shortcuts").showModal(),
  };

  const isOn = () => localStorage.getItem(KEPT) !== "off";
  const isTyping = (element) =>
    element.matches("input:not([type=checkbox]):not([type=radio]), select, textarea, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (gloriaComposing(event)) return;
    const details = event.target.closest?.(".verdict");
    if (details && event.key === "Escape") {
      event.preventDefault();
      details.open = false;
      focusOn(cardAt(details));
      return;
    }
    // In a list of choices Enter would do nothing.
    if (details && event.key === "Enter" && event.target.matches("select")) {
      event.preventDefault();
      event.target.form.requestSubmit();
      return;
    }
    const key = gloriaKey(event);
    const meant = KEYS[key];
    if (!meant || event.ctrlKey || event.altKey || event.metaKey || event.repeat && !"jk".includes(key)) return;
    if (!isOn() || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    meant();
  });

  document.addEventListener("focusin", (event) => {
    const card = cardAt(event.target);
    if (card) lastCard = card.id;
  });

  const progress = () => {
    const place = document.getElementById("progress");
    if (!place) return;
    const cards = list();
    const done = cards.filter((card) => card.dataset.state !== "proposed").length;
    place.hidden = cards.length === 0;
    place.textContent = `${done} / ${cards.length} ${place.dataset.words}`;
  };

  // The server says which card it put in place, and after which verdict: then it is the next one's turn.
  document.addEventListener("gloria:decided", (event) => {
    const { card: id, done } = event.detail;
    const cards = list();
    const here = cards.findIndex((card) => card.id === id);
    const goesOn = ["accept", "defer", "reject"].includes(done);
    const next = goesOn ? cards.slice(here + 1).find((card) => card.dataset.state === "proposed") : null;
    const form = cards[here]?.querySelector("details.verdict[open] select");
    if (form) form.focus();
    else focusOn(next ?? cards[here]);
    progress();
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    const target = event.detail.target;
    if (target?.id === "comparison" && !target.open) target.showModal();
    document.getElementById("ranked")?.removeAttribute("aria-busy");
    for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
    progress();
  });
  // A refusal takes the place of what it was asked for: here the state without an index does.
  // A server that has just started may still be loading its models; it says when to ask again.
  let tries = 0;
  document.addEventListener("htmx:responseError", (event) => {
    const ranked = document.getElementById("ranked");
    ranked?.removeAttribute("aria-busy");
    const { xhr, target, pathInfo } = event.detail;
    if (!ranked || target !== ranked || xhr.status !== 503 || tries++ >= 20) return;
    const wait = Number(xhr.getResponseHeader("Retry-After")) || 5;
    setTimeout(() => htmx.ajax("GET", pathInfo.requestPath, "#ranked"), wait * 1000);
  });

  // A lab that is left out goes at once; without this the link leads to the same.
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".leave-out a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    htmx.ajax("GET", link.href, "#ranked").then(() => history.replaceState(history.state, "", link.href));
  });

  const wanted = document.getElementById("shortcuts-on");
  if (wanted) {
    wanted.checked = isOn();
    wanted.addEventListener("change", () => localStorage.setItem(KEPT, wanted.checked ? "on" : "off"));
  }
  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
  progress();
})();
