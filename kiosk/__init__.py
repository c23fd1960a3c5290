"""Stayby: a kiosk that notices distress, tells the store's staff, and stays by the customer until a person is there."""

__version__ = "0.1.0"
