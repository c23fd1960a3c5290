"""The tests; a package of its own, because textstat installs one of the same name."""
