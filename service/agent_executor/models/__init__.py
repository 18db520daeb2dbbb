"""What the service is told: events and agent definitions, checked once at the door."""
