"""A real cluster on one machine, what the end-to-end tests run on: out of plain binaries where no image hub is reached,
or in a node of kind's. `ways.py` picks one.

Everything that is started here ends with the process that started it, also after a crash: `state.py` says how.
"""
