"""What imports or wraps each software: a module each, imported where the software is started."""
