"""The simulated company: a seeded day-by-day simulation whose causes and effects are known."""
