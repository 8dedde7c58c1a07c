"""What readers were shown, noted when it is shown: it is no function of what was loaded, the seeds and `as_of`."""
