"""Tests of `medqlora.colab`."""
