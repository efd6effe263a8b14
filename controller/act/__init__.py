"""One module per action; an action does what the plan says and never looks for more work."""
