"""A version and its readers: what it consists of, how it is written, and how it takes the place of the last one."""
