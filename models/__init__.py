"""The training house: from a list of phrases to the small model that `stayby listen` carries; never runs on a unit."""
