"""What decides: bytes and records in, bytes and records out. No sockets, files, clocks or logs."""
