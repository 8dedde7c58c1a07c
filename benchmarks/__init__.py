"""What this project claims about speed, cost and statistical truth: one module per claim, each one command."""
