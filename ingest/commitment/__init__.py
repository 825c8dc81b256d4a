"""Storage Commitment: we answer for what we were sent, and ask others to answer for what we sent."""
