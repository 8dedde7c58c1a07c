"""The vendors' APIs, one file per vendor, and the endpoints that steer the sandbox."""
