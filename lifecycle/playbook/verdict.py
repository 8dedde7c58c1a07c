"""Everything that is wrong with a playbook, from all that can be asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.playbook import declared, doings, hearing, journeys, machine

if TYPE_CHECKING:
    from lifecycle.playbook.sheets import Finding, Playbook


def judge(playbook: Playbook) -> list[Finding]:
    """Every fault, in the order of the files."""
    judges = (declared, machine, doings, hearing, journeys)
    return sorted({finding for one in judges for finding in one.findings(playbook)})
