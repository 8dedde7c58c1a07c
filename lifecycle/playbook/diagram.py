"""The state machine as pictures and tables, drawn from the seeds: what the docs show is what runs.

python -m lifecycle.playbook.diagram            # prints them
python -m lifecycle.playbook.diagram FILE.md    # puts them between the marks of the file
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.playbook import sheets
from lifecycle.playbook.machine import RESUME, derived_region, moving_regions

if TYPE_CHECKING:
    from lifecycle.playbook.sheets import Playbook

BEGIN = "<!-- drawn from the seeds: begin -->"
CROWD = 3  # from so many states the same way is drawn as one
END = "<!-- drawn from the seeds: end -->"


def drawn(playbook: Playbook) -> str:
    """The regions as one Mermaid diagram, the rules for what is shown, who owns it, and the journeys as another."""
    return "\n".join([
        *_diagram(playbook), "", *_rules(playbook), "", *_owners(playbook), "", *_journeys(playbook),
    ])  # fmt: skip


def replaced(text: str, playbook: Playbook) -> str:
    """The text with what is between its marks drawn anew."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{drawn(playbook)}\n\n{END}{after}"


def _diagram(playbook: Playbook) -> list[str]:
    """A diagram per region: drawn next to each other their labels would lie over each other."""
    lines: list[str] = []
    for region, states in moving_regions(playbook).items():
        lines += [f"**{region}**", "", "```mermaid", "stateDiagram-v2", "    direction LR"]
        lines += [f"    [*] --> {row['state']}" for row in states if row.is_true("is_initial")]
        moves = _moves(playbook, {row["state"] for row in states})
        # what resumes goes back to whatever was interrupted, which a picture can only name
        before = f"{region}_before"
        if any(end == RESUME for _, end, _ in moves):
            lines.append(f"    {before}: as before")
        for number, (starts, end, why) in enumerate(moves, start=1):
            target, label = before if end == RESUME else end, "<br/>or ".join(why)
            if len(starts) < CROWD:
                lines += [f"    {start} --> {target}: {label}" for start in starts]
            else:
                # the same way from many states is named once, behind the point where it comes together
                lines.append(f"    state {region}_{number} <<join>>")
                lines += [f"    {start} --> {region}_{number}" for start in starts]
                lines.append(f"    {region}_{number} --> {target}: {label}")
        lines += ["```", ""]
    return lines[:-1]


def _moves(playbook: Playbook, names: set[str]) -> list[tuple[list[str], str, list[str]]]:
    """From which states, where to, for which reasons; reasons of the same ways stand together."""
    starts: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in playbook.rows("lifecycle_transitions"):
        way = starts[row["to_state"], row["reason"].split(",")[0]]
        if row["from_state"] in names and row["from_state"] not in way:
            way.append(row["from_state"])
    ways: defaultdict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for (end, reason), mine in starts.items():
        if len(mine) >= CROWD:
            ways[tuple(mine), end].append(reason)
        else:
            for start in mine:
                ways[(start,), end].append(reason)
    return [(list(mine), end, why) for (mine, end), why in ways.items()]


def _rules(playbook: Playbook) -> list[str]:
    regions = list(moving_regions(playbook))
    lines = [f"| the first that applies | {' | '.join(regions)} | shows |", "|---" * (len(regions) + 2) + "|"]
    for rule in sorted(playbook.rows("lifecycle_display"), key=lambda row: row.whole("position")):
        cells = [" or ".join(rule.words(region)) or "any" for region in regions]
        lines.append(f"| {rule['position']} | {' | '.join(cells)} | **{rule['state']}** |")
    return lines


def _owners(playbook: Playbook) -> list[str]:
    lines = ["| state | owner | assisting | at most | what it means |", "|---|---|---|---|---|"]
    region = derived_region(playbook)
    for row in playbook.rows("lifecycle_states"):
        if row["region"] == region:
            limit = f"{row['time_limit_days']} days" if row["time_limit_days"] else "any time"
            others = ", ".join(row.words("assisting_teams")) or "nobody"
            lines.append(f"| {row['state']} | {row['owner_team']} | {others} | {limit} | {row['meaning']} |")
    return lines


def _journeys(playbook: Playbook) -> list[str]:
    """The newest version of each journey."""
    newest: dict[str, int] = {}
    for row in playbook.rows("journeys"):
        newest[row["journey"]] = max(newest.get(row["journey"], 0), row.whole("version"))
    lines = ["```mermaid", "flowchart LR"]
    for journey, version in newest.items():
        lines.append(f"    subgraph {journey} [{journey}, version {version}]")
        for row in playbook.rows("journeys"):
            if row["journey"] == journey and row.whole("version") == version:
                target = row["next_action"] or f"{journey}_end((end))"
                lines.append(f"        {row['after_action']} -->|{row['signal_id']}| {target}")
        lines.append("    end")
    return [*lines, "```"]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.write_text(replaced(path.read_text(encoding="utf-8"), sheets.read()), encoding="utf-8")
    else:
        sys.stdout.write(drawn(sheets.read()) + "\n")
