"""Updates of a unit: signed by its store, kept only once the unit has proven itself with them."""
