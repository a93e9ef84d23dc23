"""What is written to a disk: what the system refuses, temporaries and who may remove them, files kept in memory."""
