"""Silos to raw tables: one file per source system. Knows vendors, knows no business rule."""
