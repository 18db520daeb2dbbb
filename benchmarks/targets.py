"""What a benchmark's table says of a figure that has a target."""


def to_reach(figure: float, target: float, *, least: bool = False) -> str:
    """`(to reach: TARGET)`, and whether the figure misses it; a target is the most it may be, or the `least`."""
    missed = figure < target if least else figure > target
    return f"(to reach: {target:g}{', missed' if missed else ''})"
