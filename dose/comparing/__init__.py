"""Two doses compared: gamma."""
