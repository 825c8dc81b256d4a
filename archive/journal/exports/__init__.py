"""The journal in the languages of other systems: DICOM audit messages and FHIR AuditEvent."""
