"""The seeds as sheets: rows with the line they stand on, so that a fault can be found in an editor."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = Path("seeds") / "playbook"
BOOLEANS = {"true": True, "false": False}
# the same rules, in C where PyYAML was built with it: a fifth of the time
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault: where it is, what is wrong and what to do about it."""

    file: str
    row: int  # the line in the file, the header being 1; 0 means the file as a whole
    field: str
    problem: str
    fix: str

    def __str__(self) -> str:
        where = [self.file]
        if self.row:
            where.append(f"row {self.row}")
        if self.field:
            where.append(f"field {self.field}")
        return f"{', '.join(where)}: {self.problem} {self.fix}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sheet; an empty field is an empty text, as in the file."""

    file: str
    number: int
    values: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def is_true(self, name: str) -> bool:
        """Whether the field says true."""
        return self[name] == "true"

    def whole(self, name: str, default: int = 0) -> int:
        """The field as a number; what is no number is somebody else's finding."""
        try:
            return int(self[name])
        except ValueError:
            return default

    def words(self, name: str) -> list[str]:
        """The field as a list; its parts are separated by spaces."""
        return self[name].split()

    def finding(self, name: str, problem: str, fix: str) -> Finding:
        """A fault of this row."""
        return Finding(self.file, self.number, name, problem, fix)


@dataclass(slots=True)
class Sheet:
    """One seed: what its YAML declares, and the rows of its file. With other rows it is another one: `replace` it."""

    name: str
    file: str
    declared: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)
    # what was asked of these rows, and the numbers of those for which it holds: a question costs more than a sheet
    answered: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def types(self) -> dict[str, str]:
        """The declared columns with their types."""
        return dict(self.declared.get("config", {}).get("column_types", {}))

    def values(self, column: str) -> set[str]:
        """What a column holds, empty fields apart."""
        return {row[column] for row in self.rows if row[column]}


class Playbook:
    """Every sheet of the seeds, by name. A sheet that nobody wrote is an empty one."""

    def __init__(self, sheets: Iterable[Sheet]) -> None:
        self.sheets = {sheet.name: sheet for sheet in sheets}

    def rows(self, name: str) -> list[Row]:
        """The rows of a sheet; none where there is no such sheet."""
        sheet = self.sheets.get(name)
        return sheet.rows if sheet else []

    def by(self, name: str, column: str) -> dict[str, Row]:
        """The rows of a sheet by their key; the first of several with one key."""
        found: dict[str, Row] = {}
        for row in self.rows(name):
            found.setdefault(row[column], row)
        return found

    def __iter__(self) -> Iterator[Sheet]:
        return iter(self.sheets.values())


def read(project: Path | None = None) -> Playbook:
    """Every seed that is declared under `seeds/`: the playbook is judged, the others are only referred to."""
    project = project or PROJECT
    sheets: list[Sheet] = []
    for path in sorted((project / "seeds").rglob("*.yml")):
        seeds = (_declared(path) or {}).get("seeds", [])
        sheets += [_sheet(project, path.parent / f"{declared['name']}.csv", declared) for declared in seeds]
    return Playbook(sheets)


def _declared(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 - one of the safe ones


def is_playbook(sheet: Sheet) -> bool:
    """Whether the sheet is one that growth people edit."""
    return sheet.file.startswith(FOLDER.as_posix())


def _sheet(project: Path, path: Path, declared: dict[str, Any]) -> Sheet:
    sheet = Sheet(declared["name"], path.relative_to(project).as_posix(), declared)
    if not path.exists():
        sheet.faults.append(Finding(sheet.file, 0, "", "The file is missing.", "Restore it; its YAML still names it."))
        return sheet
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        sheet.faults.extend(_header_faults(sheet, header))
        for values in reader:
            number = reader.line_num
            if not values:
                continue
            if len(values) != len(header):
                problem = f"{len(values)} fields where the header has {len(header)}."
                fix = "Put a text with commas into quotation marks, and write empty fields as nothing between commas."
                sheet.faults.append(Finding(sheet.file, number, "", problem, fix))
                continue
            sheet.rows.append(Row(sheet.file, number, dict(zip(header, values, strict=True))))
    return sheet


def _header_faults(sheet: Sheet, header: list[str]) -> Iterator[Finding]:
    for name in sheet.types:
        if name not in header:
            yield Finding(sheet.file, 1, name, "The column is missing.", "Add it, or take it out of the YAML.")
    for name in header:
        if sheet.types and name not in sheet.types:
            yield Finding(sheet.file, 1, name, "No such column is declared.", "Declare its type in the YAML beside it.")


def has_type(text: str, type_name: str) -> bool:
    """Whether a field can be read as its declared type; an empty one is null and always can."""
    if not text:
        return True
    kind = type_name.lower()
    try:
        if kind in {"bigint", "integer"}:
            int(text)
        elif kind == "boolean":
            return text in BOOLEANS
        elif kind in {"double", "float"} or kind.startswith("decimal"):
            float(text)
        elif kind in {"timestamp", "date"}:
            datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
