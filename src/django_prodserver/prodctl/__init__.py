"""`prodctl`: sees what a supervisor does, and tells it what to do. It imports no Django."""
