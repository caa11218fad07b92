"""What the gateway decides: pure functions and state machines over events and an integer clock."""
