"""The four silos and the four destinations on loopback, filled by a simulated company whose truth is known."""
