"""Safety: what an answer may say, what the filter notices, and where no patient's word may go."""
