"""jinja2 templates and the words they use: data only."""
