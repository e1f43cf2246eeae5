// Tables whose rows are all on the page (`table.sortable`): a press on the head of a column sorts by it, a second one
// turns round. Amounts are compared as numbers, and numbers within words too, so that 109年12月 comes after 109年3月; what
// is missing comes last.
"use strict";

const inOrder = new Intl.Collator(document.documentElement.lang, { numeric: true });

const keyOf = (row, column) => {
  const cell = row.cells[column];
  const said = (cell?.dataset.key ?? cell?.textContent ?? "").trim();
  if (!said || said === "—") return null;
  if (!cell.classList.contains("amount")) return said;
  const number = said.replaceAll(",", "").match(/-?\d+(?:\.\d+)?/);
  return number && Number(number[0]);
};

const sortBy = (head) => {
  const turned = head.getAttribute("aria-sort") === "ascending";
  const rows = [...head.closest("table").tBodies[0].rows];
  const keyed = rows.map((row) => [keyOf(row, head.cellIndex), row]);
  keyed.sort(([one], [other]) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return (typeof one === "number" ? one - other : inOrder.compare(one, other)) * (turned ? -1 : 1);
  });
  for (const [, row] of keyed) row.parentNode.append(row);
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", turned ? "descending" : "ascending");
};

htmx.onLoad((content) => {
  for (const table of content.querySelectorAll("table.sortable")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const head of table.tHead.rows[0].cells) {
      if (!head.textContent.trim() || head.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorts";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(head));
      head.append(button);
    }
  }
});
