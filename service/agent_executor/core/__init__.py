"""From a definition to a graph, and from one job to its one outcome."""
