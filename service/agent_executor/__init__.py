"""The service that an AgentExecutor claim deploys: agent jobs in, results out, none lost."""

from functools import cache


@cache
def version() -> str:
    """The distribution's version; `pyproject.toml` is the one place that has it."""
    from importlib.metadata import version as installed  # noqa: PLC0415  # 10 ms that most commands do not need

    return installed("agent-executor")
