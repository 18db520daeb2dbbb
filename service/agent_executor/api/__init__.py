"""The HTTP API, contract section 7, and the wiring of the whole service."""
