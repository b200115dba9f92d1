"""What is configured, as text: for people to read, and in the formats of other programs."""
