"""The engine that keeps a fleet of agent workspaces on the runtime version it is asked to run."""
