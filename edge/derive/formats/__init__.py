"""A room's model in the formats of other programs, one file each; pure: from a `RoomModel` to bytes."""
