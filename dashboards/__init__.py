"""What people and Prometheus look at. Reads everything, writes nothing but reports."""
