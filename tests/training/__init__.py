"""What trains, and what it reports."""
