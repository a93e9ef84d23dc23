"""What was measured, as checksummed JSON lines: one record, files of them, and the journal that resumes."""
