"""Measurements on the real parts: `make bench` writes build/bench.json and prints it beside each limit or peer."""
