"""An app that tells in which process it is set up."""
