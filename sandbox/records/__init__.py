"""How a fact of the world looks as the document of a vendor: one file per vendor."""
