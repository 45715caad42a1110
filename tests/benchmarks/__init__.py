"""Performance: programs that print measurements."""
