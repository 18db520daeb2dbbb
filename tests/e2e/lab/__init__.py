"""A real cluster on one machine, out of plain binaries: what the end-to-end tests run on where no image hub is reached.

Everything that is started here ends with the process that started it, also after a crash: `state.py` says how.
"""
