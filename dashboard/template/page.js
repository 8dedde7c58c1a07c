"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // How the page is written is chosen at the top and goes along to the next page in its address.
  const chosen = new URLSearchParams(location.search);
  const links = all('a[href*=".html"]').map((link) => [link, ...link.getAttribute("href").split("#")]);
  const settings = { numbers: "locale", digits: "digits", colours: "scheme" };

  // Numbers as the reader's locale writes them, and dates unless it is an English one: the text around them is. The
  // exact value stays in the attribute; Intl takes it as text, so that no digit is lost on the way through a float.
  const localised = /(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,:])\d+\.\d+/g;
  const decimals = (number) => (number.split(".")[1] || "").length;
  const rewrite = (text, locale) => text.split(/(\u2068[^\u2069]*\u2069)/).map((part, place) => place % 2 ? part
    : part.replace(localised, (found) => {
      const digits = decimals(found);
      return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(found.replaceAll(",", ""));
    })).join("");
  // What a mart says in its own words, a cell of a table or a name, stays as it is.
  const originals = [];
  const collect = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, {
    acceptNode: (node) => node.parentElement.closest("data, code, time, script, button, select, bdi, tbody") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  });
  while (collect.nextNode()) {
    if (/\d[.,]\d/.test(collect.currentNode.data)) originals.push([collect.currentNode, collect.currentNode.data]);
  }
  const spoken = all(".picture [aria-label]").map((mark) => [mark, mark.getAttribute("aria-label")]);
  const instants = all("time[datetime]").map((element) => [element, element.textContent]);

  const write = () => {
    const locale = chosen.get("numbers") || navigator.languages || "en-US";
    for (const element of all("data[data-kind]")) {
      const isShare = element.dataset.kind === "share";
      const rounded = Number(element.dataset.digits);
      const digits = chosen.get("digits") === "all" ? Math.max(rounded, decimals(element.value) - (isShare ? 2 : 0)) : rounded;
      const style = isShare ? "percent" : "decimal";
      const format = new Intl.NumberFormat(locale, { style, minimumFractionDigits: rounded, maximumFractionDigits: digits, roundingMode: "halfEven" });
      element.textContent = format.format(element.value);
    }
    for (const [node, text] of originals) node.data = rewrite(text, locale);
    for (const [mark, text] of spoken) mark.setAttribute("aria-label", rewrite(text, locale));
    const day = { day: "2-digit", month: "short", year: "numeric", timeZone: "UTC" };
    const minute = { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    for (const [element, text] of instants) {
      const isInstant = element.dateTime.includes("T");
      const format = new Intl.DateTimeFormat(locale, isInstant ? minute : day);
      const isEnglish = format.resolvedOptions().locale.startsWith("en");
      element.textContent = isEnglish ? text : format.format(new Date(element.dateTime)) + (isInstant ? " UTC" : "");
    }
  };
  const take = () => {
    if (chosen.get("colours")) root.dataset.scheme = chosen.get("colours"); else delete root.dataset.scheme;
    for (const [link, page, place] of links) {
      link.setAttribute("href", page + (chosen.size ? `?${chosen}` : "") + (place ? `#${place}` : ""));
    }
    write();
  };
  for (const [name, id] of Object.entries(settings)) {
    const select = document.getElementById(id);
    if (all("option", select).some((option) => option.value === chosen.get(name))) select.value = chosen.get(name); else chosen.delete(name);
    select.addEventListener("change", () => {
      if (select.value) chosen.set(name, select.value); else chosen.delete(name);
      take();
    });
  }
  take();

  // A click on a heading sorts by it: by the exact value of a number, by text otherwise; what is unknown comes last.
  const key = (cell) => {
    const exact = cell.querySelector("data, time");
    if (exact) return exact.dateTime || (exact.value === "" ? null : Number(exact.value));
    return cell.querySelector(".missing") ? null : cell.textContent.trim();
  };
  for (const heading of all("thead th")) {
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

  // What a mark stands for, at the pointer, under a finger, or where the arrow keys are. Screen readers read the same
  // sentence from the mark itself.
  const MARKS = ".picture [role=graphics-symbol]";
  const said = document.getElementById("said");
  const say = (mark, x, y) => {
    for (const other of all(".picture .at")) if (other !== mark) other.classList.remove("at");
    said.hidden = !mark;
    if (!mark) return;
    said.textContent = mark.getAttribute("aria-label");
    const above = y + 18 + said.offsetHeight > window.innerHeight;
    said.style.left = `${Math.max(8, Math.min(x + 14, window.innerWidth - said.offsetWidth - 8))}px`;
    said.style.top = `${above ? y - said.offsetHeight - 10 : y + 18}px`;
  };
  const atPointer = (event) => say(event.target.closest?.(MARKS), event.clientX, event.clientY);
  document.addEventListener("pointermove", atPointer);
  document.addEventListener("pointerdown", atPointer);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") say(null); });
  for (const figure of all("figure")) {
    let marks = [];
    let place = -1;
    const goTo = { ArrowRight: () => place + 1, ArrowDown: () => place + 1, ArrowLeft: () => place - 1, ArrowUp: () => place - 1, Home: () => 0, End: () => marks.length - 1 };
    figure.addEventListener("keydown", (event) => {
      marks = all(MARKS, figure).filter((mark) => mark.getClientRects().length);  // of the pictures that are shown
      if (!goTo[event.key] || !marks.length || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      place = Math.max(0, Math.min(goTo[event.key](), marks.length - 1));
      const mark = marks[place];
      mark.scrollIntoView({ block: "nearest", inline: "nearest" });
      mark.classList.add("at");
      const box = mark.getBoundingClientRect();
      say(mark, Math.min(box.right, box.left + box.width / 2), box.bottom - 10);
    });
    figure.addEventListener("blur", () => { place = -1; say(null); });
  }

  // A long list begins with its first ten rows, whatever it is sorted by; paper has them all.
  for (const list of all("section > .scroll")) {
    const rows = all("tbody tr", list).length;
    if (rows < 16) continue;
    const more = document.createElement("button");
    const name = (isAll) => {
      more.textContent = isAll ? "Show the first 10" : `Show all ${rows}`;
      more.setAttribute("aria-expanded", isAll);
    };
    Object.assign(more, { type: "button", className: "more" });
    more.addEventListener("click", () => name(list.classList.toggle("all")));
    name(false);
    list.classList.add("short");
    list.after(more);
  }

  // What does not fit scrolls by the keyboard too, and is called by its caption; what fits is no stop on the way.
  const stops = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const isCut = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
      target.classList.toggle("cut", isCut);
      if (!target.dataset.name) continue;
      const named = { role: "region", "aria-labelledby": target.dataset.name, tabindex: 0 };
      for (const [name, value] of Object.entries(named)) {
        if (isCut) target.setAttribute(name, value); else target.removeAttribute(name);
      }
    }
  });
  for (const each of all(".scroll, figure")) stops.observe(each);

  // Paper shows the numbers behind each picture, but not hundreds of rows; afterwards the page is as it was.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = all("details:not(.long):not([open])");
    for (const each of opened) each.open = true;
  });
  window.addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
})();
