"""Base models, adapters, the engines that run them, and text generation."""
