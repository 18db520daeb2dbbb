"""Tool scripts of an agent definition: described and called in worker processes, never in the service.

The service holds a `ToolRunner` (runner). It asks a template process (template), which has imported LangChain once, to
fork workers; a worker builds its walls (`services.sandbox`), answers one request (script) over its own socket (wire),
and ends. So one call cannot touch another: not of its job, not of its neighbour's.
"""
