"""A process for each system and device, and the protocol that it speaks."""
