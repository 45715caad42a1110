"""Performance: programs that print measurements, and a test of what is promised about memory."""
