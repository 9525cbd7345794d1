"""What several tests share: snapshots compared, readers that poll, nights that are killed."""
