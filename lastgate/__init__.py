"""The front door: settings, wiring, command line, jobs and the demo."""
