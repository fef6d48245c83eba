"""The links from a task to what it has changed or found."""
