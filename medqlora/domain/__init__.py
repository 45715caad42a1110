"""Frozen value types that every layer shares.

Standard library only; nothing here reads a file or imports upwards.
"""
