"""`lifecycle doctor`: is everything here that a run needs, and if not, what to do."""

from lifecycle.doctor.command import doctor

__all__ = ["doctor"]
