"""The trigger, which runs in the triggerer."""
