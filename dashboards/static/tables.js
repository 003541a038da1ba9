// Sorts a table where it stands. Without this file the same link lets the server sort.
"use strict";
document.querySelectorAll("table[data-sorts]").forEach((table) => {
  const rows = table.tBodies[0];
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { sensitivity: "base" }) : x - y;
  };
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const link = head.querySelector("a");
    if (!link) return;
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      const before = head.getAttribute("aria-sort");
      const down = before === "none" ? "down" in link.dataset : before === "ascending";
      const known = [], unknown = [];
      for (const row of rows.rows) {
        const value = row.cells[index].dataset.value;
        if (value === undefined) unknown.push(row);
        else known.push([value, row]);
      }
      known.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
      rows.append(...known.map(([, row]) => row), ...unknown);
      for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const address = new URL(link.href);
      const key = address.searchParams.get("sort").replace(":-", ":");
      address.searchParams.set("sort", down ? key.replace(":", ":-") : key);
      address.hash = "";
      history.replaceState(null, "", address);
    });
  });
});
