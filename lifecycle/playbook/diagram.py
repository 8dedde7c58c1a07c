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
    reasons: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in playbook.rows("lifecycle_transitions"):
        reason = row["reason"].split(",")[0]
        if reason not in reasons[row["from_state"], row["to_state"]]:
            reasons[row["from_state"], row["to_state"]].append(reason)
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    for region, states in moving_regions(playbook).items():
        names = [row["state"] for row in states]
        lines.append(f"    state {region} {{")
        lines += [f"        [*] --> {row['state']}" for row in states if row.is_true("is_initial")]
        for (start, end), why in reasons.items():
            if start in names:
                # what resumes goes back to whatever was interrupted, which a picture can only name
                target = f"{region}_before" if end == RESUME else end
                lines.append(f"        {start} --> {target}: {', '.join(why)}")
        if any(start in names and end == RESUME for start, end in reasons):
            lines.append(f"        {region}_before: as before")
        lines.append("    }")
    return [*lines, "```"]


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
