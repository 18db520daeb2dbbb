"""The service that an AgentExecutor claim deploys: agent jobs in, results out, none lost."""
