"""Saved queries: named in other queries, and kept in the store as tables of their own."""
