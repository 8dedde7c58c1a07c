"""What an account at a vendor holds and does with what it is given, whoever asks: one file per vendor, no HTTP."""
