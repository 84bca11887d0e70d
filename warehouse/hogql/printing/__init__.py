"""A resolved query to text in the dialect of a warehouse."""
