// Grading by keyboard: a key for each grade, for the pair before and after, and for what may be taken back.
"use strict";

(() => {
  const KEPT = "gloria-shortcuts";
  const isOn = () => localStorage.getItem(KEPT) !== "off";
  const help = document.getElementById("meanings");

  const unfold = () => {
    const pieces = [...document.querySelectorAll(".evidence details")];
    const open = pieces.some((one) => !one.open);
    for (const one of pieces) one.open = open;
  };

  document.addEventListener("keydown", (event) => {
    if (gloriaComposing(event)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !isOn() || help.open) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea, [contenteditable]")) return;
    const key = { ArrowRight: "n", ArrowLeft: "b" }[event.key] ?? gloriaKey(event);
    const meant = key === "h" ? () => help.showModal() : key === "e" ? unfold : null;
    const named = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
    if (!meant && !named) return;
    event.preventDefault();
    if (meant) meant();
    else named.click();
  });

  const wanted = document.getElementById("shortcuts-on");
  wanted.checked = isOn();
  wanted.addEventListener("change", () => localStorage.setItem(KEPT, wanted.checked ? "on" : "off"));
})();
