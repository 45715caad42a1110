"""The version of medqlora that users see and that records name."""

VERSION = "0.1.0"
