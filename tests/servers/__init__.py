"""Real servers that tests run against, started and stopped by fixtures."""
