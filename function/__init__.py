"""The composition function: an AgentExecutor claim in, Kubernetes objects out."""
