"""What the service says about itself: logs, metrics and traces, without prompts, secrets or model output."""
