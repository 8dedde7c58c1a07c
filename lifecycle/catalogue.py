"""What a consumer may want to know of every published column: read from published_columns, and shown as one page."""

from __future__ import annotations

import html
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

PERSONAL = "personal"
PAGE_NAME = "catalogue.html"

_COLUMNS = """
    select schema_name, table_name, column_name, data_type, description, unit, definition_id, pii_class, owner
    from "{database}".marts.published_columns
    order by schema_name desc, table_name, column_position
"""
_TABLES = "select schema_name, table_name, comment from duckdb_tables() where database_name = ?"
_RULES = 'select definition_id, name, text from "{database}".marts.metric_definitions where is_current'

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #767676; }
@media (prefers-color-scheme: dark) { :root { --quiet: #9a9a9a; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin: 2.5rem 0 0; font-size: 1.15rem; } p { margin: .3rem 0 .8rem; max-width: 60rem; }
.quiet { color: var(--quiet); } input { font: inherit; width: 22rem; max-width: 100%; padding: .4rem .6rem; }
nav { columns: 15rem; margin: 1rem 0; font-size: .92em; } nav a { display: block; }
a { color: inherit; text-decoration-color: var(--line); } a:hover { text-decoration-color: currentcolor; }
:target { background: #8882; } dt { font-weight: 600; margin-top: .8rem; } dd { margin: 0; max-width: 60rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { font-family: ui-monospace, monospace; font-size: .88em; white-space: nowrap; }
td:nth-child(2) { width: 45%; }
@media (max-width: 50rem) { section { overflow-x: auto; } }
.personal { font-weight: 600; } [hidden] { display: none; }
@media print { form, nav { display: none; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""
_FILTER = """
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
  count.textContent = shown + " columns";
}
box.addEventListener("input", show);
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
        f"<title>Published columns</title><style>{_STYLE}</style>"
        f"<h1>Published columns</h1><p class='quiet'>Version {html.escape(version)}</p>"
        "<form onsubmit='return false'><label>Find <input type='search' placeholder='a name, unit, owner, rule ...'>"
        f"</label> <output class='quiet'></output></form>"
        f"<nav aria-label='Tables'>{index}<a href='#rules'>The rules</a></nav>{''.join(sections)}"
        f"<h2 id='rules'>The rules</h2><dl>{explained}</dl><script>{_FILTER}</script></html>\n",
        encoding="utf-8",
    )


def _section(schema: str, table: str, said: str, columns: list[tuple[Any, ...]], rules: dict[str, Any]) -> str:
    owner = columns[0][8] or "nobody"
    lines = []
    for _, _, column, kind, description, unit, definition, pii, _ in columns:
        name, text = rules.get(definition, (definition or "", ""))
        rule = f"<a href='#rule-{_text(definition)}' title='{_text(text)}'>{_text(name)}</a>" if text else _text(name)
        lines.append(
            f"<tr><td>{_text(column)}</td><td>{_text(description)}</td><td>{_text(unit)}</td>"
            f"<td>{rule}</td><td class='{_text(pii)}'>{_text(pii)}</td>"
            f"<td class='quiet'>{_text(kind)}</td></tr>"
        )
    return (
        f"<section id='{_text(table)}'><h2>{_text(schema)}.{_text(table)}</h2>"
        f"<p>{_text(said)} <span class='quiet'>Owner: {_text(owner)}.</span></p>"
        "<table><thead><tr><th scope='col'>Column</th><th scope='col'>What it says</th><th scope='col'>Unit</th>"
        "<th scope='col'>Rule</th><th scope='col'>Personal</th><th scope='col'>Type</th></tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></section>"
    )


def _text(value: object) -> str:
    return html.escape(str(value or ""))
