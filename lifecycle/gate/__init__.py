"""Between a build and its readers: which checks there are, what they read, and what they come to."""

from lifecycle.gate.verdict import FAILED, Check, Readings, Verdict, as_rows, judge

__all__ = ["FAILED", "Check", "Readings", "Verdict", "as_rows", "judge"]
