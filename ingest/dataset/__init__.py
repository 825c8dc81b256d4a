"""Reading data sets as bytes: file format, strict walk, digests of content."""
