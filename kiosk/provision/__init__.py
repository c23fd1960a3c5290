"""From a box to a unit of its store: the store's authority, the claims that it hands out, and the unit that joins by one."""
