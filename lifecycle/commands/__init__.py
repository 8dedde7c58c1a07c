"""What a person types, one file per kind of command; cli.py loads the one that was asked for."""
