"""The user's contract, held by tests."""
