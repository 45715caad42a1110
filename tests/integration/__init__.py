"""Parts together, as a user meets them: real workers, Colab simulated, sessions that end."""
