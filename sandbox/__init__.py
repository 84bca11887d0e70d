"""A whole cloud on one machine: stand-ins that speak the real protocols, for trying and testing."""
