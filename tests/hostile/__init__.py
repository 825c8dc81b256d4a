"""The node among enemies: bad input, broken protocol, full disks, and what users of other archives reported."""
