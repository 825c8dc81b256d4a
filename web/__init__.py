"""Pages for file managers and doctors, REST and DICOMweb: the room stands, its pages come with a later release."""
