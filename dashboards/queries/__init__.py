"""Every question that this part asks the database: named, bounded, read-only. Each takes an open connection."""
