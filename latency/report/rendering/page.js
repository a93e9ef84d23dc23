"use strict";
{
  // A click, Enter or Space on a title sorts; a second one turns the order. Cells without a key stay last.
  const compared = (a, b) => {
    const [left, right] = [Number(a), Number(b)];
    return Number.isNaN(left) || Number.isNaN(right) ? a.localeCompare(b, undefined, { numeric: true }) : left - right;
  };

  const sort = (table, title) => {
    const falling = title.getAttribute("aria-sort") === "ascending";
    const sign = falling ? -1 : 1;
    const key = (row) => row.cells[title.cellIndex].dataset.key;
    const order = (first, second) => {
      const [a, b] = [key(first), key(second)];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return sign * compared(a, b);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(order));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", falling ? "descending" : "ascending");
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const title of table.tHead.rows[0].cells) {
      title.querySelector("button").addEventListener("click", () => sort(table, title));
    }
  }

  for (const search of document.querySelectorAll(".search")) {
    const rows = [...search.parentElement.querySelectorAll("tbody tr")];
    const [field, said] = [search.querySelector("input"), search.querySelector("output")];
    const show = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      const left = rows.filter((row) => !row.hidden).length;
      said.value = words.length ? `${left} of ${rows.length}` : "";
    };
    field.addEventListener("input", show);
    search.hidden = false;
  }

  // What belongs to one layer lights up together, in the table and in the drawings.
  const marks = new Map();
  for (const each of document.querySelectorAll("[data-layer]")) {
    marks.set(each.dataset.layer, [...(marks.get(each.dataset.layer) ?? []), each]);
  }
  let lit = [];
  const light = (event) => {
    const found = event.target.closest?.("[data-layer]");
    for (const each of lit) each.classList.remove("on");
    lit = found ? marks.get(found.dataset.layer) : [];
    for (const each of lit) each.classList.add("on");
  };
  document.addEventListener("pointerover", light);
}
