"""What clients send and are told of conversations."""
