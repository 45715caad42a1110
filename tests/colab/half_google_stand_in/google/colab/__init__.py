"""Stands in for a `google.colab` that half works: it is there, and nothing is in it."""
