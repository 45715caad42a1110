"""Measurements, as ratios within one run; machines are shared, so nothing here is a test."""
