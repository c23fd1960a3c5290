"""Coverage-guided fuzzing of both ends of the link: `make fuzz`."""
