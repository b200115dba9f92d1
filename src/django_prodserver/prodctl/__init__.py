"""`prodctl`: shows what a supervisor does, and controls it. It does not import Django."""
