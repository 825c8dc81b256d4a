"""Object stores: local filesystem and S3. Knows keys, bytes and digests, nothing of DICOM."""
