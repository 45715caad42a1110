"""Writes and reads the workspace's files; a kill at any moment leaves them whole."""
