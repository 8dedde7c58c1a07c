"""Erasing a person: who that is, the warehouse, files that are overwritten, the proof, and the command."""
