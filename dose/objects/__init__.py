"""DICOM objects read and written: doses, structure sets, registrations."""
