"""Data sets on disk -> tables of cells. A source lists files and opens none."""
