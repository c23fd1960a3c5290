"""The panic button: its firmware, the link to it, and a simulator that runs its real machine code."""
