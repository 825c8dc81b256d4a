"""The index: tokens, query model, documents, embedded engine, Elasticsearch engine."""
