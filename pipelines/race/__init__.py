"""Gate, interleaved timing, and what the times say."""
