"use strict";
(() => {
  const root = document.documentElement;

  // Numbers as the reader's locale writes them. The exact value stays in the attribute; Intl takes it as text, so that
  // no digit is lost on the way through a float.
  const spoken = new WeakMap();
  const localised = /(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,:])\d+\.\d+/g;
  const rewrite = (text, locale) => text.replace(localised, (found) => {
    const digits = (found.split(".")[1] || "").length;
    return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(found.replaceAll(",", ""));
  });
  const originals = [];
  const collect = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT, {
    acceptNode: (node) => node.parentElement.closest("data, code, time, script, button") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  });
  while (collect.nextNode()) {
    if (/\d[.,]\d/.test(collect.currentNode.data)) originals.push([collect.currentNode, collect.currentNode.data]);
  }
  for (const mark of document.querySelectorAll(".picture [aria-label]")) spoken.set(mark, mark.getAttribute("aria-label"));

  const write = (chosen) => {
    const locale = chosen || navigator.languages || "en-US";
    for (const element of document.querySelectorAll("data[data-kind]")) {
      const digits = Number(element.dataset.digits);
      const style = element.dataset.kind === "share" ? "percent" : "decimal";
      const format = new Intl.NumberFormat(locale, { style, minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" });
      element.textContent = format.format(element.value);
    }
    for (const [node, text] of originals) node.data = rewrite(text, locale);
    for (const mark of document.querySelectorAll(".picture [aria-label]")) mark.setAttribute("aria-label", rewrite(spoken.get(mark), locale));
  };
  document.getElementById("locale").addEventListener("change", (event) => write(event.target.value));
  write("");

  document.getElementById("scheme").addEventListener("change", (event) => {
    if (event.target.value) root.dataset.scheme = event.target.value; else delete root.dataset.scheme;
  });

  // A click on a heading sorts by it: by the exact value of a number, by text otherwise; what is unknown comes last.
  const key = (cell) => {
    const exact = cell.querySelector("data, time");
    if (exact) return exact.dateTime || (exact.value === "" ? null : Number(exact.value));
    return cell.querySelector(".missing") ? null : cell.textContent.trim();
  };
  for (const heading of document.querySelectorAll("thead th")) {
    heading.querySelector("button").addEventListener("click", () => {
      const body = heading.closest("table").tBodies[0];
      const down = heading.getAttribute("aria-sort") !== "descending" && heading.classList.contains("number")
        || heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row.cells[heading.cellIndex]), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
      });
      body.append(...rows.map(([, row]) => row));
    });
  }

  // What a mark stands for, at the pointer. Screen readers read the same sentence from the mark itself.
  const said = document.getElementById("said");
  const isMark = (element) => element.closest?.(".picture [role=graphics-symbol]:not([aria-roledescription=axis]):not([aria-roledescription=legend])");
  document.addEventListener("pointermove", (event) => {
    const mark = isMark(event.target);
    said.hidden = !mark;
    if (!mark) return;
    said.textContent = mark.getAttribute("aria-label");
    const left = Math.min(event.clientX + 14, window.innerWidth - said.offsetWidth - 8);
    const top = event.clientY + 18 + said.offsetHeight > window.innerHeight ? event.clientY - said.offsetHeight - 10 : event.clientY + 18;
    said.style.left = `${left}px`;
    said.style.top = `${top}px`;
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") said.hidden = true; });
  document.addEventListener("pointerdown", (event) => { if (!isMark(event.target)) said.hidden = true; });

  // A long list begins with its first ten rows, whatever it is sorted by; paper has them all.
  for (const list of document.querySelectorAll("section > .scroll")) {
    const rows = list.querySelectorAll("tbody tr").length;
    if (rows < 16) continue;
    const more = document.createElement("button");
    const name = (isAll) => { more.textContent = isAll ? "Show the first 10" : `Show all ${rows}`; };
    Object.assign(more, { type: "button", className: "more" });
    more.addEventListener("click", () => name(list.classList.toggle("all")));
    name(false);
    list.classList.add("short");
    list.after(more);
  }

  // What does not fit scrolls by the keyboard too; what fits is no stop on the way.
  const stops = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const isCut = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
      target.classList.toggle("cut", isCut);
      if (isCut) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const each of document.querySelectorAll(".scroll, figure")) stops.observe(each);

  // Paper shows the numbers behind each picture, but not hundreds of rows; afterwards the page is as it was.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not(.long):not([open])")];
    for (const each of opened) each.open = true;
  });
  window.addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
})();
