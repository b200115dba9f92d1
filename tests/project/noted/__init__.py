"""An app with a task that records its executions."""
