"""One image onto another: rigid and deformable registration, and how good it is."""
