"""An app with a task that writes down that it is executed."""
