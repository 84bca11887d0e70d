"""HogQL: text is parsed, resolved against a catalog into typed nodes, printed for a warehouse."""
