"""What meets a disk."""
