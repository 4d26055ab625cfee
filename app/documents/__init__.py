"""Reports as documents, made in memory: no file, no temporary file, nothing kept."""
