"""From a database or a file to MoEngage."""
