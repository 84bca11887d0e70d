"""`make run`: the sandbox, the service beside it, and the main job in front of the user."""
