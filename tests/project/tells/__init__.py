"""An app that reports the process in which it is set up."""
