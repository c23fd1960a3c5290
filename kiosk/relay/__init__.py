"""The relay: tells others than the board of a store's alerts. Secondary ways: no unit waits for them, no board needs them."""
