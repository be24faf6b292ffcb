"""The file as a whole: what it is, a copy of it, whether it is sound, which snapshots it holds."""
