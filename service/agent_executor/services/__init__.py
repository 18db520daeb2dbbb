"""What the service talks to: NATS, PostgreSQL, Dragonfly, tool processes, each behind a few verbs."""
