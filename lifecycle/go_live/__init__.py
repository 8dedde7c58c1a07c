"""Whether anything may be sent for real: the numbers' record of agreement, and the people's record of decisions."""

from lifecycle.go_live.readiness import Status, approve, as_json, override, read, review, standing, status, withdraw

__all__ = ["Status", "approve", "as_json", "override", "read", "review", "standing", "status", "withdraw"]
