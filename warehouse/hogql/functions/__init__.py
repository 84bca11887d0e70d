"""The functions of HogQL: what each takes and means, and how each warehouse says it."""
