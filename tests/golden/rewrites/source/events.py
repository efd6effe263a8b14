NAME = "events"
