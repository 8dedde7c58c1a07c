"""What a consumer may want to know of every published column: read from published_columns, and shown as one page."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

PERSONAL, IMPERSONAL = "personal", "none"
PAGE_NAME = "catalogue.html"

_COLUMNS = """
    select schema_name, table_name, column_name, data_type, description, unit, definition_id, pii_class, owner
    from "{database}".marts.published_columns
    order by schema_name desc, table_name, column_position
"""
_TABLES = "select schema_name, table_name, comment from duckdb_tables() where database_name = ?"
_RULES = 'select definition_id, name, text from "{database}".marts.metric_definitions where is_current'

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #1c2430; --quiet: #5c6675; --line: #e8e5df; --mark: #14606e;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #12171e; --ink: #e8ebef; --quiet: #a3adba; --line: #2b333e; --mark: #58b7c6; }
}
body {
  font: 15px/1.5 Inter, system-ui, "Segoe UI", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 78rem; margin: 2rem auto; padding: 0 1.5rem; overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.015em; }
h2 { margin: 2.5rem 0 0; font-size: 1.15rem; overflow-wrap: anywhere; }
p { margin: .3rem 0 .8rem; max-width: 60rem; }
code, tbody th { font: .88em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.skip { position: absolute; left: -9999px; } .skip:focus { position: static; }
.quiet { color: var(--quiet); } input { font: inherit; width: 22rem; max-width: 100%; padding: .4rem .6rem; }
nav { columns: 15rem; margin: 1rem 0; font-size: .92em; } nav a { display: block; padding: 1px 0; }
a { color: inherit; text-decoration-color: var(--quiet); text-underline-offset: 3px; }
a:hover { text-decoration-color: currentcolor; } :focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
section { scroll-margin-top: 1rem; } section:target h2 { border-left: 3px solid var(--mark); padding-left: .6rem; }
dt { font-weight: 600; margin-top: .8rem; } dt:target { color: var(--mark); } dd { margin: 0; max-width: 60rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
thead th { position: sticky; top: 0; background: var(--paper); }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
td:not(:nth-child(2)) { overflow-wrap: normal; }
tbody th { white-space: nowrap; } td:nth-child(2) { width: 48%; } td:last-child { white-space: nowrap; }
.personal { font-weight: 600; } [hidden] { display: none; }
@media (max-width: 50rem) {
  body { padding: 0 1rem; } nav { columns: 1; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  td:nth-child(n), tbody th { width: auto; white-space: normal; overflow-wrap: anywhere; }
  tr:not([hidden]), td, tbody th { display: block; padding: 0; border: 0; }
  tbody tr { padding: .6rem 0 !important; border-bottom: 1px solid var(--line) !important; }
  tbody th { font-weight: 600; } td:empty { display: none; }
  td:nth-child(n+3)::before { content: attr(data-label) ": "; color: var(--quiet); }
}
@media print {
  :root { --paper: #fff; --ink: #000; --quiet: #444; --line: #ccc; } form, nav { display: none; }
  body { font-size: 10px; margin: 0; padding: 0; max-width: none; } thead th { position: static; }
  h2 { break-after: avoid; } tr { break-inside: avoid; }
}
"""
_FILTER = """
// laid out as cards, rows and cells would be neither to a screen reader
const roles = {
  table: "table", "thead, tbody": "rowgroup", tr: "row",
  "thead th": "columnheader", "tbody th": "rowheader", td: "cell",
};
for (const [selector, role] of Object.entries(roles)) {
  for (const each of document.querySelectorAll(selector)) each.setAttribute("role", role);
}
const box = document.querySelector("input"), count = document.querySelector("output");
function show() {
  const wanted = box.value.trim().toLowerCase();
  let shown = 0;
  for (const section of document.querySelectorAll("section")) {
    let any = false;
    for (const row of section.querySelectorAll("tbody tr")) {
      row.hidden = !(section.id + " " + row.textContent).toLowerCase().includes(wanted);
      any ||= !row.hidden;
      shown += !row.hidden;
    }
    section.hidden = !any;
  }
  count.textContent = shown.toLocaleString("en") + (shown === 1 ? " column" : " columns");
}
box.addEventListener("input", show);
box.form.addEventListener("submit", (event) => event.preventDefault());
show();
"""


def exists(connection: duckdb.DuckDBPyConnection, database: str) -> bool:
    """Whether an attached database has what the catalogue is made of."""
    found = connection.execute(
        "select count(*) from duckdb_tables() where database_name = ? and schema_name = 'marts'"
        " and table_name in ('published_columns', 'metric_definitions')",
        [database],
    ).fetchall()
    return bool(found[0][0] == 2)


def personal_columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[tuple[str, str], frozenset[str]]:
    """The columns that name a person or hold what one wrote, by (schema, table); empty without a catalogue."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    if not exists(connection, database):
        return {}
    query = f'select schema_name, table_name, column_name, pii_class from "{database}".marts.published_columns'
    for schema, table, column, kind in connection.execute(query).fetchall():
        if kind == PERSONAL:
            found[schema, table].add(column)
    return {table: frozenset(columns) for table, columns in found.items()}


def write_page(connection: duckdb.DuckDBPyConnection, database: str, path: Path, version: str) -> None:
    """One page that says of every published column what it is; nothing in it is loaded from anywhere."""
    rows = connection.execute(_COLUMNS.format(database=database)).fetchall()
    said = {(schema, table): text for schema, table, text in connection.execute(_TABLES, [database]).fetchall()}
    rules = {key: (name, text) for key, name, text in connection.execute(_RULES.format(database=database)).fetchall()}
    sections = [
        _section(schema, table, said.get((schema, table)) or "", list(columns), rules)
        for (schema, table), columns in groupby(rows, key=lambda row: (row[0], row[1]))
    ]
    places = [(table, f"{schema}.{table}") for schema, table in dict.fromkeys((row[0], row[1]) for row in rows)]
    index = "".join(f"<a href='#{_text(table)}'>{_text(name)}</a>" for table, name in places)
    explained = "".join(
        f"<dt id='rule-{_text(key)}'>{_text(name)}</dt><dd>{_text(text)}</dd>"
        for key, (name, text) in sorted(rules.items(), key=lambda item: item[1][0].lower())
    )
    path.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline';"
        " script-src 'unsafe-inline'; img-src data:\">"
        f"<title>Published columns · customer lifecycle</title><style>{_STYLE}</style>"
        "<a class='skip' href='#columns'>Skip to the columns</a><header>"
        f"<h1>Published columns</h1><p class='quiet'>Version {html.escape(version)}."
        " What every published column says; a column that names a person, or stands for one, is marked.</p>"
        "<form role='search'><label>Find <input type='search' placeholder='a name, unit, owner, rule ...'>"
        f"</label> <output class='quiet'></output></form>"
        f"<nav aria-label='Tables'>{index}<a href='#rules'>The rules</a></nav></header>"
        f"<main id='columns' tabindex='-1'>{''.join(sections)}"
        f"<h2 id='rules'>The rules</h2><dl>{explained}</dl></main><script>{_FILTER}</script></html>\n",
        encoding="utf-8",
    )


def _section(schema: str, table: str, said: str, columns: list[tuple[Any, ...]], rules: dict[str, Any]) -> str:
    owner = columns[0][8] or "nobody"
    lines = []
    for _, _, column, kind, description, unit, definition, pii, _ in columns:
        name, text = rules.get(definition, (definition or "", ""))
        rule = f"<a href='#rule-{_text(definition)}' title='{_text(text)}'>{_text(name)}</a>" if text else _text(name)
        lines.append(
            f"<tr><th scope='row'>{_text(column)}</th><td>{_prose(description)}</td>"
            f"<td data-label='Unit'>{_text(unit)}</td>"
            f"<td data-label='Rule'>{rule}</td>"
            f"<td data-label='Personal' class='{_text(pii)}'>{_text('' if pii == IMPERSONAL else pii)}</td>"
            f"<td data-label='Type' class='quiet'>{_text(kind)}</td></tr>"
        )
    return (
        f"<section id='{_text(table)}' aria-labelledby='{_text(table)}-name'>"
        f"<h2 id='{_text(table)}-name'>{_text(schema)}.{_text(table)}</h2>"
        f"<p>{_prose(said)} <span class='quiet'>Owner: {_text(owner)}.</span></p>"
        f"<table><caption class='unseen'>Columns of {_text(table)}</caption>"
        "<thead><tr><th scope='col'>Column</th><th scope='col'>What it says</th><th scope='col'>Unit</th>"
        "<th scope='col'>Rule</th><th scope='col'>Personal</th><th scope='col'>Type</th></tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></section>"
    )


def _prose(value: object) -> str:
    """A description; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(value))


def _text(value: object) -> str:
    return html.escape(str(value or ""))
