"""Put on PYTHONPATH by those who make a thread of a service hang."""
