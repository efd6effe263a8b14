"""The only importers of Docker, HTTP and child processes; they translate every library error."""
